// One quiz question. The kernel holds the key: this file shows, sends the answer, and shows what comes back.
//
// Real form controls do the work, so that keyboard and screen reader need nothing of ours: a fieldset with its legend,
// radio buttons, checkboxes, a text input, buttons. HTML that is set here was made and escaped by the kernel.

const REPLY_WITHIN_MS = 6000;
let views = 0;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "html") made.innerHTML = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Every kind of question answers to the same four calls:
//   value()         the answer as it stands        show(answer)    put a saved answer back
//   press(key)      a letter key; true if used     slots           where the why of each option goes

function choices(model, uid, changed) {
  const type = model.get("kind") === "one" ? "radio" : "checkbox";
  const inputs = new Map();
  const slots = new Map();
  const list = element("div", { class: "tw-options" });
  for (const { key, html } of model.get("options")) {
    const whyId = `${uid}-why-${key}`;
    const input = element("input", { type, name: uid, value: key, id: `${uid}-${key}`, "aria-describedby": whyId });
    input.addEventListener("change", changed);
    const label = element(
      "label",
      { for: input.id, class: "tw-option" },
      input,
      element("kbd", {}, key),
      element("span", { class: "tw-text", html }),
    );
    const slot = element("div", { class: "tw-why", id: whyId });
    inputs.set(key, input);
    slots.set(key, slot);
    list.append(element("div", { class: "tw-row" }, label, slot));
  }
  const chosen = () => [...inputs].filter(([, input]) => input.checked).map(([key]) => key);
  return {
    node: list,
    slots,
    value: () => (type === "radio" ? (chosen()[0] ?? null) : chosen()),
    show(answer) {
      const keys = [answer].flat();
      for (const [key, input] of inputs) input.checked = keys.includes(key);
    },
    press(key) {
      const input = inputs.get(key);
      if (!input) return false;
      input.checked = type === "radio" || !input.checked;
      input.focus();
      changed();
      return true;
    },
  };
}

function number(model, uid, changed) {
  const input = element("input", { type: "text", inputmode: "decimal", id: uid, autocomplete: "off", size: "12" });
  input.addEventListener("input", changed);
  const label = element("label", { for: uid }, model.get("labels").answer);
  const unit = element("span", { class: "tw-unit" }, model.get("unit"));
  if (model.get("unit")) {
    unit.id = `${uid}-unit`;
    input.setAttribute("aria-describedby", unit.id);
  }
  return {
    node: element("div", { class: "tw-number" }, label, input, unit),
    slots: new Map(),
    value: () => input.value,
    show: (answer) => (input.value = String(answer)),
    press: () => false,
  };
}

function ordering(model, uid, changed, announce) {
  const labels = model.get("labels");
  const list = element("ol", { class: "tw-order" });
  const lines = new Map();
  const slots = new Map();

  function renumber() {
    [...list.children].forEach((line, index) => {
      const [up, down] = line.querySelectorAll("button");
      up.setAttribute("aria-disabled", String(index === 0));
      down.setAttribute("aria-disabled", String(index === list.children.length - 1));
    });
  }
  function move(key, step) {
    const line = lines.get(key);
    const other = step < 0 ? line.previousElementSibling : line.nextElementSibling;
    if (!other) return;
    const focused = document.activeElement;
    if (step < 0) other.before(line);
    else other.after(line);
    focused?.focus(); // moving a node drops its focus
    renumber();
    changed();
    const place = [...list.children].indexOf(line) + 1;
    announce(fill(labels.moved, { key, place, all: lines.size }));
  }

  for (const { key, html } of model.get("options")) {
    const textId = `${uid}-text-${key}`;
    const button = (name, glyph, step) => {
      const made = element("button", { type: "button", "aria-label": labels[name], "aria-describedby": textId }, glyph);
      made.addEventListener("click", () => move(key, step));
      return made;
    };
    const slot = element("div", { class: "tw-why" });
    const line = element(
      "li",
      { tabindex: "-1", "data-key": key },
      element(
        "div",
        { class: "tw-option" },
        element("kbd", {}, key),
        element("span", { class: "tw-text", id: textId, html }),
        element("span", { class: "tw-moves" }, button("up", "↑", -1), button("down", "↓", 1)),
      ),
      slot,
    );
    line.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
      event.preventDefault();
      move(key, event.key === "ArrowUp" ? -1 : 1);
    });
    lines.set(key, line);
    slots.set(key, slot);
    list.append(line);
  }
  renumber();
  return {
    node: list,
    slots,
    value: () => [...list.children].map((line) => line.dataset.key),
    show(answer) {
      for (const key of answer) list.append(lines.get(key));
      renumber();
    },
    press(key) {
      lines.get(key)?.focus();
      return lines.has(key);
    },
  };
}

const KINDS = { one: choices, several: choices, number, ordering };

function render({ model, el }) {
  const uid = `tilewise-quiz-${++views}-${Math.random().toString(36).slice(2, 8)}`;
  const labels = model.get("labels");
  const graded = model.get("graded");
  const status = element("div", { class: "tw-status", role: "status", "aria-live": "polite" });
  const spoken = element("div", { class: "tw-spoken", role: "status", "aria-live": "polite" });
  const send = element("button", { type: "submit", class: "tw-send" }, graded ? labels.save : labels.check);
  const body = KINDS[model.get("kind")](model, uid, changed, (text) => (spoken.textContent = text));
  const form = element(
    "form",
    { class: "tw-quiz", lang: model.get("language"), novalidate: true },
    element(
      "fieldset",
      { "aria-describedby": `${uid}-how` },
      element(
        "legend",
        {},
        element("span", { class: "tw-tag" }, labels.tag),
        element("div", { class: "tw-prompt", html: model.get("prompt") }),
      ),
      body.node,
      element("div", { class: "tw-actions" }, send, element("span", { class: "tw-how", id: `${uid}-how` }, model.get("how"))),
      status,
      spoken,
    ),
  );
  let waiting = 0;
  let stopped = false;

  function say(tone, glyph, text) {
    form.dataset.tone = tone;
    const mark = element("span", { class: "tw-mark", "aria-hidden": "true" }, glyph);
    status.replaceChildren(...(text ? [element("p", {}, mark, element("strong", {}, text))] : []));
  }

  function changed() {
    if (!model.get("result").headline) return say("", "", "");
    for (const slot of body.slots.values()) slot.replaceChildren();
    say("note", "○", labels.changed);
  }

  function showResult() {
    const result = model.get("result");
    if (!result.headline && !result.problem) return; // cleared while the kernel works on an answer
    window.clearTimeout(waiting);
    send.textContent = graded ? labels.save : result.headline && !result.right ? labels.again : labels.check;
    if (!result.headline) return say("bad", "!", result.problem);
    const right = graded || result.right;
    say(graded ? "note" : right ? "good" : "bad", right ? "✓" : "✗", result.headline);
    if (result.answer) status.append(element("p", {}, result.answer));
    if (result.why) status.append(element("div", { html: result.why }));
    if (result.problem) status.append(element("p", { class: "tw-problem" }, `⚠ ${result.problem}`));
    for (const [key, said] of Object.entries(result.options ?? {})) showWhy(body.slots.get(key), said);
  }

  function showWhy(slot, said) {
    slot.dataset.good = said.badge ? said.good : "neither";
    const badge = said.badge
      ? [
          element("span", { class: "tw-mark", "aria-hidden": "true" }, said.good ? "✓" : "✗"),
          element("strong", {}, said.badge),
          document.createTextNode(" "),
        ]
      : [];
    slot.replaceChildren(...badge, element("span", { html: said.why }));
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (stopped) return sayStopped();
    say("note", "○", labels.sending);
    model.send({ type: "answer", value: body.value() });
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => say("bad", "!", labels.lost), REPLY_WITHIN_MS);
  });

  form.addEventListener("keydown", (event) => {
    // The notebook's own commands ("a" inserts a cell) must not see what is typed here; Ctrl+S and Shift+Enter are its.
    if (event.ctrlKey || event.metaKey || event.altKey || (event.key === "Enter" && event.shiftKey)) return;
    if (event.key === "Escape" || event.key === "Tab") return;
    event.stopPropagation();
    if (event.target.matches('input[type="text"]')) return;
    if (event.key === "Enter" && !event.target.matches("button")) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key.length === 1 && body.press(event.key.toLowerCase())) {
      event.preventDefault();
    }
  });

  function showAnswer() {
    if (model.get("answer") !== null) body.show(model.get("answer"));
  }

  // A restarted kernel knows nothing of this widget.
  function sayStopped() {
    stopped = true;
    window.clearTimeout(waiting);
    say("note", "○", labels.stopped);
  }

  model.on("change:answer", showAnswer);
  model.on("change:result", showResult);
  model.on("comm_live_update", sayStopped);
  showAnswer();
  showResult();
  el.append(form);
  return () => {
    window.clearTimeout(waiting);
    model.off("change:answer", showAnswer);
    model.off("change:result", showResult);
    model.off("comm_live_update", sayStopped);
  };
}

export default { render };
