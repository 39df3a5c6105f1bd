/* Keeps the panels of a page up to date: asks for them every few seconds, replaces
   those that changed, and stops when the answer says so. Without it, the page is as it
   was when it was loaded. Where the server can push, what it pushes is a reason to ask
   at once, and asking by the clock becomes rare; it is never left out. */
"use strict";

(() => {
  const root = document.querySelector("[data-live-url]");
  if (!root) {
    return;
  }
  const sentence = document.querySelector("[data-live-sentence]");
  const LONGEST_SECONDS = 30;
  const PUSHED = [
    "figures",
    ..."created started progress completed failed cancelled retry"
      .split(" ")
      .map((word) => `job:${word}`),
  ];
  let stream = null;
  let seconds = Number(root.dataset.liveSeconds);
  let etag = "";
  let failures = 0;
  let isAsking = false;
  let isToldMeanwhile = false; // pushed after the answer that is on its way was made
  let timer = 0;

  function say(text) {
    if (sentence && sentence.textContent !== text) {
      sentence.textContent = text; // a live region: what changes is read aloud
    }
  }

  /* Where the reader is: the focused link by its address, the others by position. */
  function placeOfFocus(section) {
    const focused = document.activeElement;
    if (!section.contains(focused)) {
      return null;
    }
    const all = [...section.querySelectorAll("a, button, summary, [tabindex]")];
    const href = focused.getAttribute("href");
    return { href, position: all.indexOf(focused) };
  }

  function restoreFocus(section, place) {
    const all = [...section.querySelectorAll("a, button, summary, [tabindex]")];
    const same = place.href
      ? all.find((element) => element.getAttribute("href") === place.href)
      : all[place.position];
    if (same) {
      same.focus({ preventScroll: true });
    }
  }

  function patch(old, fresh) {
    if (old.innerHTML === fresh.innerHTML) {
      return;
    }
    const place = placeOfFocus(old);
    const opened = [...old.querySelectorAll("details")].map((one) => one.open);
    const scrolled = old.querySelector(".table-scroll")?.scrollLeft ?? 0;
    old.replaceChildren(...fresh.childNodes);
    old.querySelectorAll("details").forEach((one, position) => {
      one.open = opened[position] ?? one.open;
    });
    const table = old.querySelector(".table-scroll");
    if (table) {
      table.scrollLeft = scrolled;
    }
    if (place) {
      restoreFocus(old, place);
    }
  }

  function show(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const old = new Map();
    root.querySelectorAll(":scope > [data-panel]").forEach((section) => {
      old.set(section.dataset.panel, section);
    });
    const wanted = [...page.body.querySelectorAll(":scope > [data-panel]")].map(
      (fresh) => {
        const here = old.get(fresh.dataset.panel);
        if (!here) {
          return document.importNode(fresh, true);
        }
        patch(here, fresh);
        return here;
      },
    );
    wanted.forEach((section, position) => {
      if (root.children[position] !== section) {
        root.insertBefore(section, root.children[position] ?? null);
      }
    });
    while (root.children.length > wanted.length) {
      root.lastElementChild.remove();
    }
  }

  function showActs(possible) {
    document.querySelectorAll("[data-act]").forEach((button) => {
      button.hidden = !possible.includes(button.dataset.act);
    });
  }

  function askIn(delay) {
    window.clearTimeout(timer);
    if (delay > 0) {
      timer = window.setTimeout(ask, delay * 1000);
    }
  }

  function askLater() {
    const isPushed = stream !== null && stream.readyState === EventSource.OPEN;
    askIn(isPushed && seconds > 0 ? LONGEST_SECONDS : seconds);
    if (seconds === 0 && stream !== null) {
      stream.close();
    }
  }

  function follow() {
    if (!root.dataset.liveStream || seconds === 0) {
      return;
    }
    stream = new EventSource(root.dataset.liveStream);
    PUSHED.forEach((name) => {
      // Several come at once; one question answers them all.
      stream.addEventListener(name, () => askIn(0.1));
    });
    stream.addEventListener("error", () => askIn(seconds)); // it comes back by itself
  }

  function tryAgain() {
    failures += 1;
    if (failures > 2) {
      say(root.dataset.liveLost);
    }
    askIn(Math.min(Math.max(seconds, 2) * 2 ** failures, LONGEST_SECONDS));
  }

  async function ask() {
    if (isAsking) {
      isToldMeanwhile = true;
      return;
    }
    if (document.hidden) {
      return; // it goes on when the page is seen again
    }
    isAsking = true;
    try {
      const answer = await fetch(root.dataset.liveUrl, {
        cache: "no-store",
        credentials: "same-origin",
        headers: etag ? { "If-None-Match": etag } : {},
        redirect: "manual", // to the login, when the session has ended
      });
      if (answer.status === 304) {
        failures = 0;
        askLater();
      } else if (answer.ok) {
        const data = await answer.json();
        failures = 0;
        etag = answer.headers.get("ETag") ?? "";
        seconds = data.seconds;
        show(data.html);
        showActs(data.acts);
        say(data.sentence);
        askLater();
      } else if (answer.status >= 500) {
        tryAgain();
      } else {
        say(root.dataset.liveEnded);
        seconds = 0;
      }
    } catch {
      tryAgain();
    } finally {
      isAsking = false;
      if (isToldMeanwhile && seconds > 0) {
        askIn(0.1);
      }
      isToldMeanwhile = false;
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && seconds > 0) {
      askIn(0.01);
    }
  });
  askIn(seconds);
  follow();
})();
