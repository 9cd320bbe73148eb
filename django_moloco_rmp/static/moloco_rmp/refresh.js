/* The dashboard refreshes by itself while somebody looks at it. */
"use strict";
(() => {
  const start = () => {
    const standing = document.getElementById("moloco-standing");
    if (!standing) return;
    const live = document.getElementById("moloco-live");
    const toggle = document.getElementById("moloco-toggle");
    const words = standing.dataset;
    const wait = Number(words.seconds) * 1000;
    let isOn = true;
    let timer = 0;

    const say = (text) => {
      if (live.textContent !== text) live.textContent = text;
    };
    const plan = () => {
      clearTimeout(timer);
      if (isOn && !document.hidden) timer = setTimeout(refresh, wait);
    };
    const isBusy = () => {
      const focused = document.activeElement;
      const selection = document.getSelection();
      return (
        (focused !== document.body && standing.contains(focused)) ||
        (!selection.isCollapsed && standing.contains(selection.anchorNode))
      );
    };
    const show = (text) => {
      const open = [...standing.querySelectorAll("details[open]")].map((each) => each.id);
      standing.innerHTML = text;
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    };
    const refresh = async () => {
      const address = new URL(location.href);
      address.searchParams.set("fragment", "1");
      try {
        const response = await fetch(address, { credentials: "same-origin" });
        if (response.redirected || response.status === 403) {
          say(words.out);
          return;
        }
        if (!response.ok) throw new Error(response.statusText);
        const text = await response.text();
        // Not under the hands of somebody who is about to press a button or copies something.
        if (isOn && !isBusy()) show(text);
        if (isOn) say(words.live);
      } catch {
        say(words.lost);
      }
      plan();
    };
    const label = () => {
      toggle.textContent = isOn ? toggle.dataset.stop : toggle.dataset.start;
      say(isOn ? words.live : words.paused);
    };
    toggle.addEventListener("click", () => {
      isOn = !isOn;
      label();
      if (isOn) refresh();
      else clearTimeout(timer);
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && isOn) refresh();
      else clearTimeout(timer);
    });
    toggle.hidden = false;
    label();
    plan();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
