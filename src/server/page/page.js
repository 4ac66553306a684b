// page.js - the chat page of `rwkv7 serve`; cmake/Assets.cmake puts it into page.html.
//
// Conversations are kept in localStorage. Each answer is a request with all earlier turns; the
// server remembers the state after each prompt, so only new text is evaluated. Whatever comes from
// the model or a file is put into the page as text nodes, never as HTML.
"use strict";

const $ = (id) => document.getElementById(id);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const fromTemplate = (id) => $(id).content.cloneNode(true).firstElementChild;

/* ------------------------------------------------------------------------------ formatted text */

// A subset of Markdown: code, headings, lists, quotes, tables, rules, emphasis and links.

const INLINE = new RegExp([
  "`(?<code>[^`\\n]+)`",
  "\\*\\*(?<bold>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*\\*",
  "\\*(?<italic>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*",
  "(?<![\\w_])_(?<under>[^\\s_](?:[^_\\n]*[^\\s_])?)_(?![\\w_])",
  "~~(?<struck>[^~\\n]+)~~",
  "\\[(?<label>[^\\[\\]\\n]{1,300})\\]\\((?<target>https?:\\/\\/[^\\s()]{1,2000})\\)",
  "(?<address>https?:\\/\\/[^\\s<>\"'`()*]{0,2000}[^\\s<>\"'`()*.,;:!?])",
  "\\\\(?<escaped>[\\\\`*_{}\\[\\]()#+.!~|>-])",
].join("|"), "g");

function link(target, ...children) {
  const made = element("a", "", ...children);
  made.href = target;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

function inline(parent, text) {
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const g = match.groups;
    parent.append(text.slice(end, match.index));
    end = match.index + match[0].length;
    if (g.code) parent.append(element("code", "", g.code));
    else if (g.bold) parent.append(inline(element("strong"), g.bold));
    else if (g.italic || g.under) parent.append(inline(element("em"), g.italic ?? g.under));
    else if (g.struck) parent.append(element("del", "", g.struck));
    else if (g.label) parent.append(link(g.target, g.label));
    else if (g.address) parent.append(link(g.address, g.address));
    else parent.append(g.escaped);
  }
  parent.append(text.slice(end));
  return parent;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const DEPTH = 5; // of lists and quotes within each other; deeper ones are text

const begins = (line, depth) =>
  FENCE.test(line) || HEADING.test(line) || RULE.test(line) || (depth < DEPTH && (/^ {0,3}>/.test(line) || ITEM.test(line)));
const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

function takeCode(lines, at, [, fence, language]) {
  const code = [];
  let i = at + 1;
  while (i < lines.length && !(lines[i].trim().startsWith(fence) && /^[`~]+$/.test(lines[i].trim()))) code.push(lines[i++]);
  return [i + 1, () => codeBlock(code.join("\n"), language)];
}

function takeQuote(lines, at, depth) {
  const inner = [];
  let i = at;
  while (i < lines.length && /^ {0,3}>/.test(lines[i])) inner.push(lines[i++].replace(/^ {0,3}> ?/, ""));
  return [i, () => fill(element("blockquote"), inner, depth + 1)];
}

function takeList(lines, at, depth) {
  const [, margin, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const items = [];
  let i = at;
  for (; i < lines.length; i++) {
    const item = ITEM.exec(lines[i]);
    const indent = /^\s*/.exec(lines[i])[0].length;
    if (item && indent <= margin.length + 1 && /\d/.test(item[2]) === ordered) items.push([item[3]]);
    else if (!lines[i].trim() && i + 1 < lines.length && (/^\s{2,}\S/.test(lines[i + 1]) || ITEM.test(lines[i + 1]))) items.at(-1).push("");
    else if (lines[i].trim() && (indent > margin.length + 1 || (lines[i - 1].trim() && !begins(lines[i], depth)))) {
      items.at(-1).push(lines[i].slice(Math.min(indent, margin.length + (ordered ? 3 : 2))));
    } else break;
  }
  return [i, () => {
    const list = element(ordered ? "ol" : "ul", "", ...items.map((item) => fill(element("li"), item, depth + 1)));
    if (ordered) list.start = parseInt(mark, 10);
    return list;
  }];
}

function takeTable(lines, at) {
  const rows = [];
  let i = at + 2;
  while (i < lines.length && lines[i].includes("|")) rows.push(cells(lines[i++]));
  const row = (tag, texts) => element("tr", "", ...texts.map((text) => inline(element(tag), text)));
  return [i, () => element("div", "table", element("table", "", element("thead", "", row("th", cells(lines[at]))),
                                                 element("tbody", "", ...rows.map((texts) => row("td", texts)))))];
}

function takeParagraph(lines, at, depth) {
  let i = at + 1;
  while (i < lines.length && lines[i].trim() && !begins(lines[i], depth)) i++;
  return [i, () => inline(element("p"), lines.slice(at, i).join("\n"))];
}

// Returns the blocks of a text: the source of each, and a function that makes its element.
function blocks(lines, depth) {
  const found = [];
  for (let i = 0; i < lines.length;) {
    const line = lines[i], start = i;
    let build, match;
    if (!line.trim()) {
      i++;
      continue;
    }
    if ((match = FENCE.exec(line))) [i, build] = takeCode(lines, i, match);
    else if ((match = HEADING.exec(line))) {
      const [, marks, text] = match;
      [i, build] = [i + 1, () => inline(element("h" + Math.min(marks.length + 2, 5)), text.replace(/\s*#+\s*$/, ""))];
    } else if (RULE.test(line)) [i, build] = [i + 1, () => element("hr")];
    else if (depth < DEPTH && /^ {0,3}>/.test(line)) [i, build] = takeQuote(lines, i, depth);
    else if (depth < DEPTH && ITEM.test(line)) [i, build] = takeList(lines, i, depth);
    else if (line.includes("|") && TABLE_RULE.test(lines[i + 1] ?? "")) [i, build] = takeTable(lines, i);
    else [i, build] = takeParagraph(lines, i, depth);
    found.push({ source: lines.slice(start, i).join("\n"), build });
  }
  return found;
}

function fill(parent, lines, depth) {
  parent.append(...blocks(lines, depth).map((block) => block.build()));
  return parent;
}

function codeBlock(text, language) {
  const copy = element("button", "link", "Copy");
  copy.type = "button";
  copy.addEventListener("click", () => copyText(text, copy));
  return element("figure", "code", element("figcaption", "", element("span", "", language || "text"), copy),
                 element("pre", "", element("code", "", text)));
}

// Shows a text that grows: elements of blocks that have not changed stay, so a selection does, too.
const shown = new WeakMap();
function render(container, text) {
  const list = blocks(text.split("\n"), 0), old = shown.get(container) ?? [];
  let same = 0;
  while (same < list.length && same < old.length && old[same] === list[same].source) same++;
  while (container.childElementCount > same) container.lastElementChild.remove();
  container.append(...list.slice(same).map((block) => block.build()));
  shown.set(container, list.map((block) => block.source));
}

/* -------------------------------------------------------------------------- what is remembered */

const DEFAULTS = { // the sampling of `rwkv7 chat`
  key: "", system: "", thinking: "", theme: "", max_tokens: "", seed: "",
  temperature: 1, top_p: 0.3, presence_penalty: 0.5, frequency_penalty: 0.5,
};
const PREFIX = "rwkv7.";

function load(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

function save(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    toast("The storage of this browser is full or switched off. New text is not kept.");
  }
}

// Returns a conversation with the members that this page knows; null: it is none.
function checked(chat) {
  if (!chat || typeof chat.id !== "string" || !Array.isArray(chat.messages)) return null;
  const messages = chat.messages.filter((m) => (m?.role === "user" || m?.role === "assistant") && typeof m.content === "string");
  for (const m of messages) for (const name of ["thought", "facts", "error"]) if (typeof m[name] !== "string") delete m[name];
  return { id: chat.id, title: String(chat.title || "Conversation"), time: Number(chat.time) || 0, messages };
}

function loadChats() {
  const found = new Map();
  let names = [];
  try {
    names = Object.keys(localStorage);
  } catch { // switched off
  }
  for (const name of names) {
    const chat = name.startsWith(PREFIX + "chat.") ? checked(load(name.slice(PREFIX.length))) : null;
    if (chat) found.set(chat.id, chat);
  }
  return found;
}

const keep = (chat) => save("chat." + chat.id, chat);
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const settings = { ...DEFAULTS, ...load("settings") };
let chats = new Map(), current = null; // the conversation on the page; null: a new one without messages
const running = new Map(); // conversations that are being answered: message, AbortController

/* ---------------------------------------------------------------------------------- small parts */

let toastTimer;
function toast(text, action, act) {
  const [words, button] = $("toast").children;
  words.textContent = text;
  button.hidden = !action;
  button.textContent = action ?? "";
  button.onclick = () => {
    $("toast").hidden = true;
    act();
  };
  $("toast").hidden = false;
  announce(text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 8000);
}

// Speaks to users of screen readers. Text that grows is not announced until it is complete.
function announce(text) {
  $("announcer").textContent = text;
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed, or not a secure context
    const field = element("textarea", "unseen", text);
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  announce("Copied");
  const icon = button.querySelector("use");
  if (icon) icon.setAttribute("href", "#icon-done");
  else button.textContent = "Copied";
  setTimeout(() => {
    if (icon) icon.setAttribute("href", "#icon-copy");
    else button.textContent = "Copy";
  }, 1500);
}

const nearEnd = () => $("scroll").scrollHeight - $("scroll").scrollTop - $("scroll").clientHeight < 60;
function toEnd() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

const amount = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const isTouch = () => matchMedia("(pointer: coarse)").matches;
const isNarrow = () => matchMedia("(max-width: 55rem)").matches;

/* -------------------------------------------------------------------------------- the messages */

const views = new WeakMap(); // message: its element

function show(message) {
  const view = views.get(message), state = running.get(current?.id);
  if (!view?.isConnected) return;
  const body = view.querySelector(".body"), busy = state?.message === message;
  if (message.role === "user") {
    body.textContent = message.content;
    return;
  }
  const thought = view.querySelector(".thought"), error = view.querySelector(".error"), ended = message.content !== "" || !busy;
  view.classList.toggle("busy", busy);
  view.setAttribute("aria-busy", String(busy));
  thought.hidden = !message.thought;
  thought.toggleAttribute("data-open-ended", !ended);
  thought.querySelector("summary").textContent = ended ? "Thoughts" : "Thinking\u2026";
  const words = thought.querySelector("div");
  if (words.textContent !== (message.thought ?? "")) words.textContent = message.thought ?? "";
  render(body, message.content);
  error.hidden = !message.error;
  if (error.textContent !== (message.error ?? "")) error.textContent = message.error ?? "";
  view.querySelector(".facts").textContent = message.facts ?? "";
  const last = current?.messages.at(-1) === message;
  view.querySelector("[data-do=copy]").hidden = message.content === "";
  view.querySelector("[data-do=again]").hidden = !last || message.content === "";
  view.querySelector("[data-do=more]").hidden = !(last && message.more);
  view.querySelector("[data-do=more]").textContent = message.content === "" ? "Try again" : "Continue";
}

function addView(message) {
  const view = fromTemplate(message.role + "-template");
  views.set(message, view);
  view.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button) ACTIONS[button.dataset.do]?.(message, button);
  });
  $("log").append(view);
  show(message);
}

const pending = new Set();
function showSoon(message) {
  if (pending.size === 0) requestAnimationFrame(() => {
    const stick = nearEnd();
    pending.forEach(show);
    pending.clear();
    if (stick) toEnd();
    showEnd();
  });
  pending.add(message);
}

const ACTIONS = {
  copy: (message, button) => copyText(message.content, button),
  edit: (message) => edit(message),
  again(message) {
    current.messages.length = current.messages.indexOf(message);
    answer(current);
  },
  more: (message) => message.content === "" ? ACTIONS.again(message) : answer(current, message),
};

function edit(message) {
  const view = views.get(message), form = fromTemplate("edit-template"), field = form.querySelector("textarea");
  if (running.has(current.id) || view.querySelector(".edit")) return;
  const close = () => {
    form.replaceWith(...parts);
    view.querySelector("[data-do=edit]").focus();
  };
  const parts = [view.querySelector(".body"), view.querySelector(".tools")];
  parts[1].remove();
  parts[0].replaceWith(form);
  field.value = message.content;
  field.focus();
  form.querySelector("[data-do=cancel]").addEventListener("click", close);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (sends(event)) form.requestSubmit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    current.messages.length = current.messages.indexOf(message) + 1;
    message.content = text;
    close();
    $("message").focus();
    answer(current);
  });
}

/* --------------------------------------------------------------------------------- the requests */

async function request(path, options = {}) {
  const headers = { ...(options.body && { "Content-Type": "application/json" }), ...(settings.key && { Authorization: "Bearer " + settings.key }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer.");
  }
  if (response.ok) return response;
  const text = (await response.json().catch(() => null))?.error?.message;
  if (response.status === 401) askForKey();
  throw new Error(response.status === 401 ? "The server needs an API key." :
                  response.status === 429 ? "The server is busy. Try again soon." : text ?? `The server answered with status ${response.status}.`);
}

// The events of a stream, each the value of its JSON text. The server ends a whole one with [DONE].
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("The connection was closed before the end of the answer.");
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "data: [DONE]") return;
        if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function requestBody(chat, seed) {
  const body = { messages: chat.messages.filter((m) => m.content).map(({ role, content }) => ({ role, content })),
                 stream: true, stream_options: { include_usage: true }, seed };
  if (settings.system.trim()) body.messages.unshift({ role: "system", content: settings.system });
  for (const name of ["temperature", "top_p", "presence_penalty", "frequency_penalty"]) body[name] = settings[name];
  if (settings.max_tokens) body.max_tokens = Number(settings.max_tokens);
  if (settings.thinking) body.reasoning_effort = settings.thinking;
  return JSON.stringify(body);
}

// Counts the tokens of an answer. An event has the text of about one token; the exact number comes
// at the end.
class Meter {
  count = 0;
  tick() {
    this.last = performance.now();
    this.first ??= this.last;
    this.count++;
  }
  facts(seed, tokens = this.count) {
    const seconds = (this.last - this.first) / 1000, pace = seconds > 0 ? (this.count - 1) / seconds : 0;
    const speed = pace > 0 ? ` at ${pace.toLocaleString("en", { maximumFractionDigits: pace < 10 ? 1 : 0 })}/s` : "";
    return amount(tokens, "token") + speed + (seed === undefined ? "" : ` \u00b7 seed ${seed}`);
  }
}

// Answers the last message of a conversation, or continues the answer `message`.
async function answer(chat, message) {
  if (running.has(chat.id)) return;
  const seed = settings.seed === "" ? crypto.getRandomValues(new Uint32Array(1))[0] : Number(settings.seed);
  const body = requestBody(chat, seed), controller = new AbortController(), meter = new Meter();
  let usage, reason = "stop";
  if (message) {
    message.content = message.content.trimEnd(); // the server does the same; the next token brings its space
    delete message.error;
  } else chat.messages.push(message = { role: "assistant", content: "" });
  running.set(chat.id, { message, controller });
  open(chat);
  if (document.activeElement === document.body) $(isTouch() ? "scroll" : "message").focus(); // a button that is gone had it
  announce("Writing an answer");
  try {
    const response = await request("v1/chat/completions", { method: "POST", body, signal: controller.signal });
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      usage = event.usage ?? usage;
      const choice = event.choices?.[0], delta = choice?.delta ?? {};
      reason = choice?.finish_reason ?? reason;
      if (delta.reasoning_content) message.thought = (message.thought ?? "") + delta.reasoning_content;
      if (delta.content) message.content += delta.content;
      if (!delta.reasoning_content && !delta.content) continue;
      meter.tick();
      message.facts = meter.facts();
      showSoon(message);
    }
  } catch (error) {
    if (controller.signal.aborted) reason = "stopped";
    else message.error = error.message;
  }
  message.more = reason === "length" || reason === "stopped" || Boolean(message.error);
  message.facts = meter.count ? meter.facts(seed, usage?.completion_tokens) + (reason === "length" ? " \u00b7 length limit" : reason === "stopped" ? " \u00b7 stopped" : "") : "";
  running.delete(chat.id);
  chat.time = Date.now();
  if (chats.has(chat.id)) keep(chat);
  listChats();
  showSoon(message);
  showComposer();
  if (chat === current && !message.error) announce(reason === "stopped" ? "Stopped" : message.content);
}

function stop() {
  running.get(current?.id)?.controller.abort();
}

function send() {
  const text = $("message").value.trim();
  if (!text || running.has(current?.id)) return;
  if (!current) {
    current = { id: newId(), title: text.split("\n")[0].slice(0, 80), time: Date.now(), messages: [] };
    chats.set(current.id, current);
  }
  if (current.messages.at(-1)?.role === "assistant" && !current.messages.at(-1).content) current.messages.pop(); // it failed
  current.messages.push({ role: "user", content: text });
  current.time = Date.now();
  keep(current);
  $("message").value = "";
  answer(current);
}

/* ------------------------------------------------------------------------- the rest of the page */

// Opens a conversation; null: a new one.
function open(chat) {
  current = chat;
  save("current", chat?.id ?? null);
  $("log").replaceChildren();
  chat?.messages.forEach(addView);
  $("welcome").hidden = Boolean(chat);
  $("title").textContent = chat?.title ?? "New chat";
  document.title = chat ? chat.title + " \u2013 rwkv7" : "rwkv7";
  listChats();
  showComposer();
  toEnd();
  showEnd();
}

function listChats() {
  const sorted = [...chats.values()].sort((a, b) => b.time - a.time);
  const focused = document.activeElement?.closest?.("#chats li")?.dataset.id;
  $("chats").replaceChildren(...sorted.map((chat) => {
    const item = fromTemplate("chat-template"), [open_, remove] = item.children;
    item.dataset.id = chat.id;
    open_.textContent = chat.title;
    if (chat === current) open_.setAttribute("aria-current", "true");
    open_.addEventListener("click", () => {
      closeSidebar();
      open(chat);
    });
    remove.setAttribute("aria-label", `Delete \u201c${chat.title}\u201d`);
    remove.addEventListener("click", () => removeChat(chat));
    return item;
  }));
  if (focused) $("chats").querySelector(`[data-id="${CSS.escape(focused)}"] .chat`)?.focus();
}

function removeChat(chat) {
  running.get(chat.id)?.controller.abort();
  chats.delete(chat.id);
  try {
    localStorage.removeItem(PREFIX + "chat." + chat.id);
  } catch { // switched off
  }
  if (chat === current) open(null);
  else listChats();
  $("new-chat").focus();
  toast("Conversation deleted.", "Undo", () => {
    chats.set(chat.id, chat);
    keep(chat);
    open(chat);
  });
}

function showComposer() {
  const busy = running.has(current?.id), button = $("send"), icon = busy ? "#icon-stop" : "#icon-send";
  button.disabled = !busy && !$("message").value.trim();
  button.setAttribute("aria-label", busy ? "Stop" : "Send");
  button.querySelector("use").setAttribute("href", icon);
  if (!CSS.supports("field-sizing", "content")) {
    $("message").style.height = "auto";
    $("message").style.height = $("message").scrollHeight + "px";
  }
}

function showEnd() {
  $("to-end").hidden = nearEnd();
}

function openSidebar() {
  $("sidebar").classList.add("open");
  $("shade").hidden = false;
  $("main").inert = true;
  $("open-sidebar").setAttribute("aria-expanded", "true");
  $("new-chat").focus();
}

function closeSidebar() {
  if (!$("sidebar").classList.contains("open")) return;
  $("sidebar").classList.remove("open");
  $("shade").hidden = true;
  $("main").inert = false;
  $("open-sidebar").setAttribute("aria-expanded", "false");
  $("open-sidebar").focus();
}

// Whether a key press in a text field sends it. On a touch screen, Enter begins a new line.
const sends = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing &&
  (event.ctrlKey || event.metaKey || !isTouch());

function exportChats() {
  const text = JSON.stringify({ format: "rwkv7-conversations", conversations: [...chats.values()] }, null, 1);
  const away = element("a");
  away.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  away.download = "rwkv7-conversations.json";
  away.click();
  setTimeout(() => URL.revokeObjectURL(away.href), 60000);
}

async function importChats(file) {
  let found = [];
  try {
    found = JSON.parse(await file.text()).conversations.map(checked).filter(Boolean);
  } catch { // not such a file
  }
  for (const chat of found) {
    if (running.has(chat.id)) continue;
    chats.set(chat.id, chat);
    keep(chat);
  }
  toast(found.length ? `${amount(found.length, "conversation")} imported.` : "This file has no conversations of this page.");
  open(chats.get(current?.id) ?? null);
}

/* -------------------------------------------------------------------------------- the settings */

function showSettings() {
  for (const name of Object.keys(DEFAULTS)) {
    $(name).value = settings[name];
    const output = document.querySelector(`output[for=${name}]`);
    if (output) output.textContent = Number(settings[name]).toFixed(2);
  }
  document.documentElement.dataset.theme = settings.theme;
}

function takeSetting(event) {
  const { id, value, type } = event.target;
  if (!(id in DEFAULTS) || !event.target.checkValidity()) return;
  settings[id] = type === "range" ? Number(value) : value;
  save("settings", settings);
  showSettings();
}

function askForKey() {
  $("key-field").hidden = false;
  $("key-note").textContent = settings.key ? "The server refuses this key." : "This server requires one. It is kept in this browser.";
  $("key-note").classList.toggle("wrong", Boolean(settings.key));
  if (!$("settings").open) $("settings").showModal();
  $("key").focus();
}

const scaled = (n) => n >= 1e9 ? (n / 1e9).toPrecision(2) + " billion" : n >= 1e6 ? (n / 1e6).toPrecision(2) + " million" : n.toLocaleString("en");

async function loadModel() {
  try {
    const model = (await (await request("v1/models")).json()).data[0];
    const version = model.meta.architecture.replace(/^x0(\d)(\d)/, (_, major, minor) => `RWKV-${major}${minor === "0" ? "" : "." + minor}`);
    $("model").textContent = $("welcome-title").textContent = model.id;
    $("welcome-facts").textContent = `${version}, ${scaled(model.meta.n_params)} parameters`;
  } catch (error) {
    $("welcome-title").textContent = error.message;
    $("welcome-facts").textContent = "";
  }
}

function start() {
  $("key-field").hidden = !settings.key;
  showSettings();
  chats = loadChats();
  open(chats.get(load("current")) ?? null);
  loadModel();

  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (running.has(current?.id)) stop();
    else send();
  });
  $("message").addEventListener("input", showComposer);
  $("message").addEventListener("keydown", (event) => {
    if (!sends(event)) return;
    event.preventDefault();
    send();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || $("settings").open) return;
    if ($("sidebar").classList.contains("open")) closeSidebar();
    else stop();
  });
  $("scroll").addEventListener("scroll", showEnd, { passive: true });
  $("to-end").addEventListener("click", () => {
    toEnd();
    $("message").focus();
  });
  $("new-chat").addEventListener("click", () => {
    closeSidebar();
    open(null);
    $("message").focus();
  });
  $("open-sidebar").addEventListener("click", openSidebar);
  $("close-sidebar").addEventListener("click", closeSidebar);
  $("shade").addEventListener("click", closeSidebar);
  matchMedia("(max-width: 55rem)").addEventListener("change", closeSidebar);
  $("export").addEventListener("click", exportChats);
  $("import").addEventListener("click", () => $("import-file").click());
  $("import-file").addEventListener("change", async (event) => {
    if (event.target.files[0]) await importChats(event.target.files[0]);
    event.target.value = "";
  });
  $("open-settings").addEventListener("click", () => $("settings").showModal());
  $("settings").addEventListener("input", takeSetting);
  $("settings").addEventListener("close", loadModel);
  $("settings").addEventListener("click", (event) => {
    if (event.target === $("settings")) $("settings").close();
  });
  $("defaults").addEventListener("click", () => {
    Object.assign(settings, DEFAULTS, { key: settings.key });
    save("settings", settings);
    showSettings();
  });
  addEventListener("pagehide", () => {
    for (const id of running.keys()) if (chats.has(id)) keep(chats.get(id));
  });
  addEventListener("storage", (event) => { // another window of this page
    if (!event.key?.startsWith(PREFIX + "chat.") || running.size > 0) return;
    chats = loadChats();
    open(chats.get(current?.id) ?? null);
  });
  if (!isTouch()) $("message").focus();
}

start();
