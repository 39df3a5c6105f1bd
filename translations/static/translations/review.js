/* The page of one text under review: opens a segment's field when it is asked for,
   keeps what is typed on this device at once and at the server every few seconds, shows
   what the checks say of it and who else is there, and listens to the keyboard.
   Without it every field is open, and the page is sent as any form. */
"use strict";

(() => {
  const form = document.querySelector("form[data-review]");
  if (!form) {
    return;
  }
  const data = form.dataset;
  const SAVE_AFTER = 1500;
  const HERE_EVERY = 15000;
  const LONGEST_WAIT = 30000;
  const KEPT_DAYS = 30;
  const PREFIX = `review:${data.user}:`;
  const PLACE = `${PREFIX}${data.review}`;
  const KEYS_OFF = "review-keys-off";
  const said = form.querySelector("[data-said]");
  const segments = [...form.querySelectorAll("[data-segment]")];
  const primary = form.querySelector("[data-primary]");
  let timer = 0;
  let failures = 0;
  let isSaving = false;
  let isWanted = false;

  document.documentElement.classList.add("has-script");

  /* --- fields ---------------------------------------------------------------------- */

  const fieldOf = (segment) => segment.querySelector("textarea[name^='text-']");
  const originalOf = (field) => field.dataset.original ?? field.defaultValue;
  const lines = (text) => text.replaceAll("\r\n", "\n");
  const isChanged = (field) => lines(field.value) !== lines(originalOf(field));

  function changedTexts() {
    const texts = {};
    for (const segment of segments) {
      const field = fieldOf(segment);
      if (field && isChanged(field)) {
        texts[segment.dataset.segment] = field.value;
      }
    }
    return texts;
  }

  function grow(field) {
    field.style.blockSize = "auto";
    field.style.blockSize = `${field.scrollHeight + 4}px`;
  }

  function open(segment, { focus = true } = {}) {
    const field = fieldOf(segment);
    if (!field) {
      return;
    }
    const folded = segment.closest("details");
    if (folded) {
      folded.open = true;
    }
    segment.classList.add("is-edited");
    grow(field);
    if (focus) {
      field.focus();
    }
  }

  function label() {
    if (primary) {
      const isEdited = segments.some((one) => fieldOf(one) && isChanged(fieldOf(one)));
      primary.textContent = isEdited
        ? primary.dataset.editedLabel
        : primary.dataset.label;
    }
  }

  for (const segment of segments) {
    const field = fieldOf(segment);
    const mend = segment.querySelector(".mend");
    if (mend) {
      mend.hidden = false;
      mend.addEventListener("click", () => open(segment));
    }
    if (field) {
      field.addEventListener("input", () => {
        grow(field);
        label();
        typed();
      });
      if (field.dataset.original !== undefined) {
        open(segment, { focus: false });
      }
    }
    const take = segment.querySelector(".take-mine");
    if (take) {
      take.hidden = false;
      take.addEventListener("click", () => {
        field.value = segment.querySelector("[data-mine]").textContent;
        open(segment);
        label();
        typed();
      });
    }
    const source = segment.querySelector(".fold");
    const unfold = segment.querySelector(".unfold");
    const isCut = () => source.scrollHeight > source.clientHeight + 1;
    const offer = () => {
      unfold.hidden = source.classList.contains("is-unfolded") || !isCut();
    };
    unfold.addEventListener("click", () => {
      source.classList.add("is-unfolded");
      unfold.hidden = true;
    });
    offer();
    segment.closest("details")?.addEventListener("toggle", offer);
  }

  /* --- kept on this device --------------------------------------------------------- */

  function stored(place) {
    try {
      return JSON.parse(localStorage.getItem(place));
    } catch {
      return null; // no storage, or nothing that we wrote
    }
  }

  function store(place, value) {
    try {
      localStorage.setItem(place, JSON.stringify(value));
    } catch {
      return; // full or forbidden: the server has the draft all the same
    }
  }

  function forget(place) {
    try {
      localStorage.removeItem(place);
    } catch {
      return; // there is no storage, so nothing is in it
    }
  }

  function keepHere(more = {}) {
    const texts = changedTexts();
    const at = Date.now();
    store(PLACE, { base: data.base, texts, at, ...more });
  }

  function forgetOld() {
    const oldest = Date.now() - KEPT_DAYS * 24 * 3600 * 1000;
    try {
      Object.keys(localStorage)
        .filter((place) => place.startsWith(PREFIX))
        .filter((place) => (stored(place)?.at ?? 0) < oldest)
        .forEach(forget);
    } catch {
      return; // there is no storage
    }
  }

  /* What was typed here and never reached the server, or was sent in vain. */
  async function bringBack() {
    const kept = stored(PLACE);
    if (!kept || !Object.keys(kept.texts ?? {}).length) {
      return;
    }
    if (kept.base !== data.base) {
      forget(PLACE);
      if (!kept.isSent && !kept.isSaved) {
        // Typed on an earlier version: the server sets it aside and shows it.
        const answer = await post({ base: kept.base, texts: kept.texts });
        if (answer?.ok) {
          window.location.reload();
        } else {
          store(PLACE, kept);
        }
      }
      return;
    }
    if (kept.isSaved && !kept.isSent) {
      return; // the page came with it
    }
    let isBack = false;
    for (const segment of segments) {
      const text = kept.texts[segment.dataset.segment];
      const field = fieldOf(segment);
      if (text !== undefined && field && lines(field.value) !== lines(text)) {
        field.value = text;
        open(segment, { focus: false });
        isBack = true;
      }
    }
    if (isBack) {
      say(data.back);
      label();
      saveIn(0);
    }
  }

  /* --- kept at the server ---------------------------------------------------------- */

  function say(text, { login = false } = {}) {
    if (said.textContent !== text) {
      said.textContent = text;
    }
    if (login) {
      const link = document.createElement("a");
      link.href = data.loginUrl;
      link.target = "_blank";
      link.textContent = data.login;
      said.append(" ", link);
    }
  }

  function token() {
    const found = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
    const field = form.querySelector("[name=csrfmiddlewaretoken]");
    if (found) {
      field.value = decodeURIComponent(found[1]); // a new login changes it
    }
    return field.value;
  }

  function post(body) {
    return fetch(data.draftUrl, {
      method: "POST",
      credentials: "same-origin",
      redirect: "manual", // to the login, when the session has ended
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: JSON.stringify({ ...body, base: Number(body.base) }),
    });
  }

  function typed() {
    keepHere();
    isWanted = true;
    saveIn(SAVE_AFTER);
  }

  function saveIn(delay) {
    window.clearTimeout(timer);
    timer = window.setTimeout(save, delay);
  }

  function tryAgain(text, { login = false } = {}) {
    failures += 1;
    say(text, { login });
    saveIn(Math.min(2000 * 2 ** failures, LONGEST_WAIT));
  }

  /* Says that somebody is here, and what they typed if there is something new. */
  async function save() {
    if (!data.mayEdit || isSaving) {
      return;
    }
    isSaving = true;
    const texts = changedTexts();
    const sends = isWanted || Object.keys(texts).length > 0;
    isWanted = false;
    try {
      const answer = await post({ base: data.base, texts: sends ? texts : null });
      if (answer.ok) {
        failures = 0;
        show(await answer.json());
        if (sends && !isWanted) {
          keepHere({ isSaved: true });
        }
        saveIn(isWanted ? SAVE_AFTER : HERE_EVERY);
      } else if (answer.type === "opaqueredirect" || answer.status === 403) {
        isWanted = sends;
        tryAgain(data.ended, { login: true });
      } else if (answer.status < 500) {
        say((await answer.json()).said ?? "");
      } else {
        isWanted = sends;
        tryAgain(data.lost);
      }
    } catch {
      isWanted = sends;
      tryAgain(data.lost);
    } finally {
      isSaving = false;
    }
  }

  function show(answer) {
    form.querySelector("[data-others]").textContent = answer.others.join(" ");
    const newer = form.querySelector("[data-newer]");
    newer.textContent = answer.newer;
    newer.hidden = !answer.newer;
    if (answer.said) {
      say(answer.said);
    }
    if (answer.findings) {
      showFindings(answer.findings);
    }
  }

  function showFindings(findings) {
    const lists = new Map([["", form.querySelector("[data-findings-whole]")]]);
    for (const segment of segments) {
      lists.set(segment.dataset.segment, segment.querySelector("[data-findings]"));
    }
    const fresh = new Map([...lists.values()].map((list) => [list, []]));
    for (const finding of findings) {
      const line = document.createElement("li");
      const text = document.createElement("bdi");
      line.className = finding.severity;
      text.textContent = finding.message;
      line.append(text);
      fresh.get(lists.get(finding.segment) ?? lists.get("")).push(line);
    }
    for (const [list, found] of fresh) {
      list.replaceChildren(...found);
    }
  }

  form.addEventListener("submit", () => {
    token();
    keepHere({ isSent: true });
    for (const segment of segments) {
      const field = fieldOf(segment);
      if (field && !isChanged(field)) {
        field.disabled = true; // unchanged: a long text has more than a form may
      }
    }
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      segments.map(fieldOf).forEach((field) => field && (field.disabled = false));
    }
  });
  window.addEventListener("online", () => saveIn(0));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      saveIn(0);
    }
  });

  /* --- the keyboard ---------------------------------------------------------------- */

  const keys = form.querySelector("[data-keys]");
  keys.checked = stored(KEYS_OFF) !== true;
  keys.addEventListener("change", () => store(KEYS_OFF, !keys.checked));

  const sheets = [...form.querySelectorAll(".sheet")];
  for (const sheet of sheets) {
    sheet.addEventListener("toggle", () => {
      if (sheet.open) {
        sheets.filter((one) => one !== sheet).forEach((one) => (one.open = false));
        focusIn(sheet);
      }
    });
  }

  function focusIn(sheet) {
    if (!sheet.contains(document.activeElement) || isSummary(document.activeElement)) {
      sheet.querySelector("input, textarea, .sheet-body button")?.focus();
    }
  }

  const isSummary = (element) => element.localName === "summary";

  function openSheet(name) {
    const sheet = form.querySelector(`[data-sheet="${name}"]`);
    if (sheet) {
      sheet.open = true;
      focusIn(sheet); // now: its event comes after the next key
    }
  }

  function seen() {
    return segments.filter((segment) => !segment.closest("details:not([open])"));
  }

  function move(step) {
    const all = seen();
    const here = all.indexOf(document.activeElement.closest("[data-segment]"));
    const next = here < 0 && step < 0 ? all.length - 1 : here + step;
    const wanted = all[Math.min(Math.max(next, 0), all.length - 1)];
    wanted?.focus();
    wanted?.scrollIntoView({ block: "nearest" });
  }

  function editHere() {
    const here = document.activeElement.closest("[data-segment]");
    const flagged = form.querySelector(".segment.flagged");
    const wanted = here ?? flagged ?? seen()[0];
    if (wanted) {
      open(wanted);
    }
  }

  const letters = {
    a: () => primary?.click(),
    e: editHere,
    j: () => move(1),
    k: () => move(-1),
    q: () => openSheet("ask"),
    r: () => openSheet("reject"),
    s: () => form.querySelector("[name=act][value=skip]").click(),
  };

  document.addEventListener("keydown", (event) => {
    const isInField = event.target.closest("input, textarea, select");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const sheet = event.target.closest(".sheet");
      event.preventDefault();
      (sheet ? sheet.querySelector(".sheet-body button") : primary)?.click();
      return;
    }
    if (event.key === "Escape") {
      sheets.forEach((sheet) => (sheet.open = false));
      event.target.closest("[data-segment]")?.focus();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isInField) {
      return;
    }
    const act = keys.checked && letters[letterOf(event)];
    if (act) {
      event.preventDefault();
      act();
    }
  });

  /* By its place: on an Arabic keyboard the same key gives another letter. */
  function letterOf(event) {
    return event.code.startsWith("Key") ? event.code[3].toLowerCase() : event.key;
  }

  forgetOld();
  label();
  bringBack();
  saveIn(0);
})();
