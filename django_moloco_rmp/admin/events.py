"""The admin of kept events: look, resend, correct, export, discard."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Value
from django.http import HttpRequest, HttpResponseRedirect, QueryDict, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import formats
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp import runners
from django_moloco_rmp.admin import journal, steps
from django_moloco_rmp.admin.bodies import pretty
from django_moloco_rmp.admin.choosing import PARAMETER, chosen
from django_moloco_rmp.admin.correction import CorrectionForm, correct
from django_moloco_rmp.admin.discarding import discard, discardable
from django_moloco_rmp.admin.durations import ago, moment, span
from django_moloco_rmp.admin.exporting import lines
from django_moloco_rmp.admin.filters import (
    AgeFilter,
    DestinationFilter,
    MessageFilter,
    StateFilter,
    StatusFilter,
    TypeFilter,
)
from django_moloco_rmp.admin.listing import BEFORE, CappedPaginator, EventList, is_key
from django_moloco_rmp.admin.masks import (
    MASK,
    masked_body,
    masked_message,
    may_see_bodies,
)
from django_moloco_rmp.backlog import RESENT, Backlog
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import default_alias

State = OutboxEvent.State
_FILTERS = (DestinationFilter, StateFilter, TypeFilter, AgeFilter, StatusFilter, MessageFilter)
#: What an address may hold; anything else is taken out of it before Django looks at it.
_KNOWN = frozenset({"q", "p", "all", BEFORE, *(each.parameter_name for each in _FILTERS)})
_SHORT = 80


class OutboxEventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What the outbox keeps. Nothing is added here, and nothing changed but by the actions."""

    list_display = ("event_id", "event_type", "state_label", "message", "age")
    list_filter = _FILTERS
    list_per_page = 50
    list_max_show_all = 200
    sortable_by = ()
    search_fields = ("event_id",)
    search_help_text = _("An event id, or how a page id begins, as in CATEGORY.")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    actions = ("resend", "export", "discard")
    #: So many events are looked through for what no index finds.
    window_size = 10_000
    #: So many events are changed by one request.
    step_size = 20_000
    #: Events to discard are counted up to here.
    most_counted = 100_000
    fieldsets: ClassVar = (
        (
            None,
            {"fields": ("event_id", "event_type", "destination", "state_label", "recorded", "due")},
        ),
        (_("What Moloco said"), {"fields": ("status", "whole_message", "attempts", "failures")}),
        (_("What is sent"), {"fields": ("shopper", "body")}),
    )

    class Media:
        css: ClassVar = {"all": ("moloco_rmp/admin.css",)}
        js: ClassVar = ("moloco_rmp/steps.js",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: events come from the shop."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: what is sent is changed by :meth:`correct_view` alone."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: events go by the action that counts them."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether events may be looked at."""
        return bool(request.user.has_perm("moloco_rmp.view_outboxevent"))

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Return whether rejected events may be resent."""
        return bool(request.user.has_perm("moloco_rmp.resend_event"))

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Return whether events may be discarded."""
        return bool(request.user.has_perm("moloco_rmp.discard_event"))

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Return whether bodies may be seen."""
        return may_see_bodies(request)

    def has_correct_permission(self, request: HttpRequest) -> bool:
        """Return whether a rejected event may be corrected, for which one has to see it."""
        return bool(request.user.has_perm("moloco_rmp.correct_event")) and may_see_bodies(request)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns: with the destination where there are several."""
        event_id, event_type, *others = self.list_display
        several = ["destination"] if chosen(request, default_alias()).tabs else []
        return [event_id, event_type, *several, *others]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return events with the database's time, which their ages are measured by."""
        rows = OutboxEvent._base_manager.using(default_alias())
        return rows.annotate(now=DatabaseNow(), may_see=Value(may_see_bodies(request)))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the list that works on any number of events."""
        return EventList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """Leave the search to :class:`EventList`, which knows the window."""
        return queryset, False

    def get_urls(self) -> list[Any]:
        """Return Django's, without those that nobody may use, and the correction's."""
        correct_url = path(
            "<path:object_id>/correct/",
            self.admin_site.admin_view(self.correct_view),
            name="moloco_rmp_outboxevent_correct",
        )
        return [correct_url, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list, or do an action."""
        request.GET = _known(request.GET)  # type: ignore[assignment]
        if request.method == "POST" and not all(map(is_key, _selected(request))):
            self.message_user(request, gettext("No such events."), messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        if request.method == "POST" and chosen(request, default_alias()).is_another:
            self.message_user(request, gettext("There is no such destination."), messages.WARNING)
            return HttpResponseRedirect(self._url("changelist"))
        response = super().changelist_view(request, extra_context)
        changes = getattr(response, "context_data", None) or {}
        if "cl" in changes and "action_form" in changes:
            changes["title"] = gettext("Kept events")
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Show one event."""
        request.GET = QueryDict()
        event = self.get_object(request, unquote(object_id))
        context = {"title": gettext("Event"), "moloco": self._offers(request, event)}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """Return an event, None if the key is none."""
        if not is_key(str(object_id)):
            return None
        return super().get_object(request, object_id)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Show what was done to an event; bodies only to whom they may be shown."""
        context = {"media": self.media, **(extra_context or {})}
        response = super().history_view(request, object_id, context)
        entries = (getattr(response, "context_data", None) or {}).get("action_list", ())
        if not may_see_bodies(request):
            for entry in entries:
                # The first line says what was done, those after it what was written.
                entry.change_message = entry.change_message.split("\n")[0]
        return response

    def _offers(self, request: HttpRequest, event: Any) -> dict[str, Any]:
        """Return what may be done to an event, for its page."""
        if event is None:
            return {}
        is_rejected = event.state == State.REJECTED
        return {
            "list_url": f"{self._url('changelist')}?{urlencode({PARAMETER: event.destination})}",
            "correct_url": self._url("correct", quote(event.pk))
            if is_rejected and self.has_correct_permission(request)
            else "",
            "can_resend": is_rejected and self.has_resend_permission(request),
            "can_export": event.state != State.SENT and self.has_export_permission(request),
            "can_discard": event.state != State.SENT and self.has_discard_permission(request),
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "pk": event.pk,
        }

    def _url(self, name: str, *args: Any) -> str:
        return reverse(
            f"admin:moloco_rmp_outboxevent_{name}", args=args, current_app=self.admin_site.name
        )

    @admin.display(description=_("state"))
    def state_label(self, event: Any) -> str:
        """Return the state as a badge."""
        state = State(event.state)
        name, label = state.name.lower(), str(state.label)
        if state is State.PENDING and event.lease_token and _seconds(event, "available_at") < 0:
            label = gettext("being sent")
        elif state is State.PENDING and event.last_error:
            name, label = "retried", gettext("to be tried again")
        return format_html('<span class="moloco-badge moloco-{}">{}</span>', name, label)

    @admin.display(description=_("HTTP status"))
    def status(self, event: Any) -> Any:
        """Return the status of the last answer."""
        return event.last_status or "\N{EN DASH}"

    @admin.display(description=_("Moloco said"))
    def message(self, event: Any) -> str:
        """Return the last status, and the beginning of the last message."""
        message = Truncator(self.whole_message(event)).chars(_SHORT)
        return f"{event.last_status or ''} {message}".strip()

    @admin.display(description=_("message"))
    def whole_message(self, event: Any) -> str:
        """Return the last message."""
        text = event.last_error if event.may_see else masked_message(event.last_error)
        if not text.startswith(RESENT):
            return text
        return gettext("resent; was: %s") % text.removeprefix(RESENT)

    @admin.display(description=_("recorded"))
    def age(self, event: Any) -> str:
        """Return how long ago the event was recorded."""
        return ago(_seconds(event, "created_at"))

    @admin.display(description=_("recorded"))
    def recorded(self, event: Any) -> str:
        """Return when the event was recorded."""
        return _when(_seconds(event, "created_at"))

    @admin.display(description=_("next try"))
    def due(self, event: Any) -> str:
        """Return when the event is sent, or what became of it."""
        if event.state != State.PENDING:
            if not event.finished_at:
                return ""
            since = _when(_seconds(event, "finished_at"))
            is_sent = event.state == State.SENT
            text = gettext("none: delivered %s") if is_sent else gettext("none: rejected %s")
            return text % since
        seconds = _seconds(event, "available_at")
        if seconds >= 0:
            return gettext("now")
        if event.lease_token:
            return gettext("being sent; if nothing comes of that, in %s") % span(-seconds)
        return gettext("in %s") % span(-seconds)

    @admin.display(description=_("shopper"))
    def shopper(self, event: Any) -> str:
        """Return what identifies the shopper."""
        return event.identifier if event.may_see or not event.identifier else MASK

    @admin.display(description=_("body"))
    def body(self, event: Any) -> str:
        """Return the body, or why it is not shown."""
        if not event.payload:
            return gettext("It was delivered and is not kept; only its id is.")
        if not event.may_see:
            return gettext(
                "Hidden: it says what a shopper did. The permission “%s” shows it."
            ) % gettext("Can see bodies and identifiers of events")
        text, is_json = pretty(event.payload)
        note = "" if is_json else gettext("This is no JSON. It is shown as it is.")
        return format_html(
            '<div class="moloco-body">{}<pre class="moloco-pre" tabindex="0">{}</pre></div>',
            note,
            text,
        )

    @admin.action(description=_("Resend the rejected ones"), permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: Any) -> Any:
        """Make rejected events pending again."""
        using = queryset.db
        present, since = steps.started(request, using)
        rows = queryset.filter(state=State.REJECTED, finished_at__lte=steps.before(since, present))
        step = self._take(request, rows, Backlog(using).resend)
        message = ngettext(
            "%(count)s rejected event is sent again.",
            "%(count)s rejected events are sent again.",
            step.done,
        )
        runners.wake(using)
        return self._stepped(request, "resend", step, since, message, journal.CHANGE)

    @admin.action(description=_("Discard for good"), permissions=["discard"])
    def discard(self, request: HttpRequest, queryset: Any) -> Any:
        """Delete events that were not delivered, once that was confirmed."""
        using = queryset.db
        present, since = steps.started(request, using)
        rows = discardable(queryset).filter(created_at__lte=steps.before(since, present))
        if request.POST.get("confirmed") != "yes":
            return self._confirmation(request, rows, present)
        step = self._take(request, rows, partial(discard, using))
        message = ngettext(
            "%(count)s event is discarded.", "%(count)s events are discarded.", step.done
        )
        return self._stepped(request, "discard", step, since, message, journal.DELETION)

    @admin.action(description=_("Export as JSON lines"), permissions=["export"])
    def export(self, request: HttpRequest, queryset: Any) -> Any:
        """Return events as a file, a line for each."""
        rows = queryset.exclude(state=State.SENT).values_list("pk", flat=True)
        keys = list(rows)
        text = ngettext("%(count)s event exported.", "%(count)s events exported.", len(keys))
        self._note(request, text % {"count": _number(len(keys))}, journal.CHANGE)
        return StreamingHttpResponse(
            lines(queryset.db, keys),
            content_type="application/x-ndjson",
            headers={
                "Content-Disposition": 'attachment; filename="moloco-events.jsonl"',
                "Cache-Control": "no-store",
            },
        )

    def _take(self, request: HttpRequest, rows: Any, work: Any) -> steps.Step:
        return steps.take(request, rows[: self.step_size + 1], self.step_size, work)

    def _confirmation(self, request: HttpRequest, rows: Any, present: int) -> Any:
        found = rows[: self.most_counted + 1].count()
        if not found:
            text = gettext("Nothing to discard: delivered events, and those being sent, stay.")
            self.message_user(request, text, messages.WARNING)
            return None
        count = _number(min(found, self.most_counted))
        if found > self.most_counted:
            title = gettext("Discard more than %s events?") % count
        else:
            title = ngettext("Discard %(count)s event?", "Discard %(count)s events?", found) % {
                "count": count
            }
        return self._page(request, "discard.html", "discard", title=title, since=present)

    def _stepped(
        self,
        request: HttpRequest,
        action: str,
        step: steps.Step,
        since: int,
        message: str,
        flag: int,
    ) -> Any:
        """Tell how far it came, and go on if there is more."""
        text = message % {"count": _number(step.done)}
        # Each step leaves its own entry: who stops between two has done something.
        self._note(request, text, flag)
        if step.is_last:
            self.message_user(request, text, messages.SUCCESS)
            return None
        return self._page(request, "step.html", action, title=text, step=step, since=since)

    def _page(self, request: HttpRequest, template: str, action: str, **context: Any) -> Any:
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/moloco_rmp/outboxevent/{template}",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "cl": {"opts": self.opts},
                "media": self.media,
                "actions_on_top": True,
                "action": action,
                "checkbox": helpers.ACTION_CHECKBOX_NAME,
                "selected": _selected(request),
                "across": request.POST.get("select_across") == "1",
                "back_url": request.get_full_path(),
                **context,
            },
        )

    def _note(self, request: HttpRequest, text: str, flag: int) -> None:
        """Write what was done into the admin's log: of each event, or with the filter."""
        if request.POST.get("select_across") == "1":
            query = request.GET.urlencode()
            where = gettext("All that match: %s") % (query or gettext("no filter"))
            journal.note(request, OutboxEvent, text, f"{text} {where}", flag=flag)
            return
        for key in _selected(request):
            what = gettext("Event %s") % key
            journal.note(request, OutboxEvent, what, text, key=key, flag=flag)

    def correct_view(self, request: HttpRequest, object_id: str) -> Any:
        """Correct a rejected event and resend it."""
        if not self.has_view_permission(request) or not self.has_correct_permission(request):
            raise PermissionDenied
        event = self.get_object(request, unquote(object_id))
        if event is None:
            self.message_user(request, gettext("No such events."), messages.WARNING)
            return HttpResponseRedirect(self._url("changelist"))
        if event.state != State.REJECTED:
            text = gettext("This event is not rejected, so there is nothing to correct.")
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(self._url("change", quote(event.pk)))
        form = CorrectionForm(event, request.POST if request.method == "POST" else None)
        if form.is_valid() and form.corrected is not None:
            after = correct(default_alias(), event, form.corrected)
            if after is not None:
                return self._corrected(request, event, after)
            form.add_error(None, gettext("This event has changed meanwhile: open it again."))
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Correct and resend"),
            "opts": self.opts,
            "original": event,
            "object_id": str(event.pk),
            "message": self.whole_message(event),
            "form": form,
            "errors": form.errors,
            "media": self.media,
            "has_view_permission": True,
            "change": True,
            "back_url": self._url("change", quote(event.pk)),
        }
        return TemplateResponse(request, "admin/moloco_rmp/outboxevent/correct.html", context)

    def _corrected(self, request: HttpRequest, event: OutboxEvent, after: str) -> Any:
        text = gettext("Corrected, and sent again.")
        versions = (
            f"{gettext('Before')}: {masked_body(event.payload)}",
            f"{gettext('After')}: {masked_body(after)}",
        )
        journal.note(request, OutboxEvent, str(event), "\n".join((text, *versions)), key=event.pk)
        runners.wake(default_alias(), event.destination)
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(self._url("change", quote(event.pk)))


def _known(query: QueryDict) -> QueryDict:
    """Return what is known of an address, so that a tampered one is a plain list."""
    known = QueryDict(mutable=True)
    for name in query:
        value = query.get(name)
        if name in _KNOWN and isinstance(value, str) and "\x00" not in value:
            known[name] = value
    return known


def _selected(request: HttpRequest) -> list[str]:
    return request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)


def _seconds(event: Any, column: str) -> float:
    """Return how many seconds a moment is past, by the database's clock."""
    return float((event.now - getattr(event, column)).total_seconds())


def _when(seconds: float) -> str:
    return f"{ago(seconds)} ({formats.date_format(moment(seconds), 'SHORT_DATETIME_FORMAT')})"


def _number(number: int) -> str:
    return formats.number_format(number, force_grouping=True)
