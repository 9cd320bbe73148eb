import pytest
from tests.admin.conftest import *
from tests.outbox.samples import record_many
pytestmark=[pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]
@pytest.mark.parametrize("url", ["", "moloco_rmp/", "moloco_rmp/gate/", "moloco_rmp/hourlycount/", "moloco_rmp/outboxevent/", "moloco_rmp/outboxevent/?state=rejected&type=PURCHASE&q=x", ])
def test_it(operator, url):
    from django_moloco_rmp.models import OutboxEvent
    record_many(3); record_many(2, state=2, last_error="bad <b>x</b> 123", last_status=400)
    r=operator.get("/admin/"+url)
    assert r.status_code==200
    print(r.content.decode()[-200:])
def test_detail(operator):
    from django_moloco_rmp.models import OutboxEvent
    record_many(1, state=2)
    pk=OutboxEvent.objects.get().pk
    r=operator.get(f"/admin/moloco_rmp/outboxevent/{pk}/change/")
    assert r.status_code==200
    r=operator.get(f"/admin/moloco_rmp/outboxevent/{pk}/correct/")
    assert r.status_code==200
    r=operator.get(f"/admin/moloco_rmp/outboxevent/{pk}/history/")
    assert r.status_code==200
