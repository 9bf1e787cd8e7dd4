// The explorer: maps over a picture, drawn from the arrays in this page.  No library and no network.
// All that is shown follows from `state`: whatever happens changes it and calls draw().
"use strict";

const page = JSON.parse(document.getElementById("page").textContent);
const $ = (id) => document.getElementById(id);
const TYPES = { int8: Int8Array, float32: Float32Array, int32: Int32Array };
const P = page.prefix.length; // tokens in front of the patches
const HEADS = [...page.merges, ...Array(page.heads).keys()];
const LAYERS = [...Array(page.blocks).keys()];
const state = { // what the page opens with
  picture: 0, method: "attention", layer: page.blocks - 1, head: "mean", query: 0, hover: null, answer: 0,
  range: "map", opacity: 0.9,
};
let facts, data, tokens, timer = null, writing; // of the chosen picture; of play; of the address

// ---- the arrays: numbers of the patches are step × byte, with one step per row; see explorer_pack.py
async function load(picture) {
  const text = atob($("data" + picture).textContent), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const read = ([name, { type, shape, offset }]) =>
    [name, { shape, values: new TYPES[type](buffer, offset, shape.reduce((a, b) => a * b, 1)) }];
  return Object.fromEntries(Object.entries(page.pictures[picture].arrays).map(read));
}

// the number of a row, counted over all axes but the last
const rowAt = (name, index) => index.reduce((at, i, axis) => at * data[name].shape[axis] + i, 0);

function cell(name, at, token) {
  if (token < P) return data[name + ".prefix"].values[at * P + token];
  return data[name + ".step"].values[at] * data[name].values[at * (tokens - P) + token - P];
}

function row(name, ...index) {
  const at = rowAt(name, index);
  return Float32Array.from({ length: tokens }, (_, token) => cell(name, at, token));
}

// ---- attention of one head, or of all merged: a map, or null where the page does not hold it
function merge(head, mapOf) {
  if (typeof head === "number" || data.merged) return mapOf(head);
  const maps = HEADS.slice(page.merges.length).map(mapOf);
  if (head !== "mean") return maps[0].map((_, i) => Math[head](...maps.map((map) => map[i]))); // max or min
  return maps[0].map((_, i) => maps.reduce((sum, map) => sum + map[i], 0) / maps.length);
}

function attentionOf(layer, head, query) {
  if (typeof head === "string") return row("merged", layer, HEADS.indexOf(head), query);
  if (!data.merged) return row("attention", layer, head, query);
  return isPatch(query) ? null : row("attention", layer, head, Math.min(query, P));
}

function attentionTo(layer, head, query) {
  if (typeof head === "number" && data.merged) return null;
  const [name, which] = typeof head === "number" ? ["attention", head] : ["merged", HEADS.indexOf(head)];
  return Float32Array.from({ length: tokens }, (_, n) => cell(name, rowAt(name, [layer, which, n]), query));
}

// ---- what can be shown: one number per token, or null; the words are in explorer_methods.py
const MAPS = {
  attention: (layer, head, query) => merge(head, (h) => attentionOf(layer, h, query)),
  received: (layer, head, query) => (query === tokens ? null : merge(head, (h) => attentionTo(layer, h, query))),
  rollout: (layer, head, query) => row("rollout", layer, query),
  relevance: (layer, head, query, answer) => row("relevance", answer, layer),
  lens: (layer, head, query, answer) => row("lens", answer, layer),
  similar: (layer, head, query) => row("similar", layer, query),
  length: (layer) => row("length", layer),
};

// those whose array this page holds; that of “received” is attention
const kept = () => Object.keys(MAPS).filter((name) => data[name] || name === "received");

// ---- words
const number = (x) => Math.abs(x) >= 1000 || (x && Math.abs(x) < 1e-3) ? x.toExponential(1) : String(+x.toPrecision(3));
const percent = (x) => `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`;
const headName = (head) => (typeof head === "number" ? `head ${head}` : `${head} of the heads`);
const short = (index) => facts.labels[index].split(",")[0];
const isPatch = (token) => token >= P && token < tokens;
const place = (query) => [Math.floor((query - P) / facts.columns), (query - P) % facts.columns];

function tokenName(query) {
  if (!isPatch(query)) return `the ${page.prefix[query] ?? page.mean}`;
  const [r, c] = place(query);
  return `token ${query} (row ${r}, column ${c})`;
}

// What is seen: the sentence of a method with its blanks filled in.
function caption(method, query) {
  const words = { block: state.layer, head: headName(state.head), token: tokenName(query), asker: page.asker };
  if (method.answer) words.class = short(facts.answer[state.answer][0]);
  return method.says.replace(/\{(\w+)\}/g, (_, word) => words[word]);
}

// ---- drawing
function el(tag, attributes = {}, ...children) {
  const space = ["svg", "polyline", "line", "text"].includes(tag) ? "2000/svg" : "1999/xhtml";
  const node = document.createElementNS("http://www.w3.org/" + space, tag);
  for (const name in attributes) {
    if (name === "onclick") node.onclick = attributes.onclick;
    else node.setAttribute(name, attributes[name]);
  }
  node.append(...children);
  return node;
}

// How far a number is on the way to full colour, −1 to 1, and its colour.
function shade(value, top, signed) {
  const share = top > 0 ? Math.max(-1, Math.min(1, value / top)) : 0;
  return [share, page.colours[signed ? "signed" : "quantity"][Math.round(255 * (signed ? (share + 1) / 2 : share))]];
}

function paint(canvas, values, columns, top, signed) {
  canvas.width = columns;
  canvas.height = values.length / columns;
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => {
    const [share, colour] = shade(value, top, signed);
    image.data.set([...colour, Math.round(255 * (0.12 + 0.88 * Math.abs(share)))], 4 * i); // the more, the more opaque
  });
  context.putImageData(image, 0, 0);
}

const peak = (values) => values.subarray(P).reduce((top, x) => Math.max(top, Math.abs(x)), 0);

// What is drawn now: the chosen map, those of all blocks, and the number that has full colour.
function look() {
  const query = state.hover ?? state.query, method = page.methods[state.method];
  const maps = LAYERS.map((layer) => MAPS[state.method](layer, state.head, query, state.answer));
  const values = maps[state.layer], own = values ? peak(values) : 0;
  const top = values && state.range === "depth" ? Math.max(...maps.map(peak)) : own;
  return { query, method, maps, values, top };
}

function draw() {
  const seen = look();
  drawStage(seen);
  drawChips(seen);
  drawDepth(seen);
  drawHeads(seen);
  $("lens-card").hidden = !data["lens.best"];
  if (data["lens.best"]) drawLens(seen.query);
  drawPaths(seen.query);
  drawControls(seen.method);
  if (state.hover !== null) return;
  clearTimeout(writing); // browsers refuse too many addresses in a row
  writing = setTimeout(remember, 200);
}

function drawStage({ query, method, values, top }) {
  const shown = (values ?? new Float32Array(tokens)).subarray(P);
  paint($("map"), shown, facts.columns, top, method.signed);
  $("caption").textContent = caption(method, query);
  const range = `${number(Math.min(...shown))} … ${number(Math.max(...shown))}`;
  const sum = method.sums ? `; they sum to ${number(shown.reduce((a, b) => a + b))}` : "";
  const missing = query === tokens ? "Nobody looks at a mean: choose a square."
    : "This page holds single heads of tokens beside the picture only: choose mean, max or min.";
  $("range-note").textContent = values ? `Colour: ${method.unit}. Squares have ${range}${sum}.` : missing;
  $("low").textContent = method.signed ? number(-top) : "0";
  $("high").textContent = number(top);
  const ramp = Float32Array.from({ length: 128 }, (_, i) => (method.signed ? i / 63.5 - 1 : i / 127));
  paint($("ramp"), ramp, 128, 1, method.signed);
  const [r, c] = place(query), mark = $("mark");
  mark.hidden = !isPatch(query);
  mark.style.cssText = `left: ${(100 * c) / facts.columns}%; top: ${(100 * r) / facts.rows}%;`
    + `width: ${100 / facts.columns}%; height: ${100 / facts.rows}%`;
}

// The first `count` children of an element, made where they are missing: what is clicked stays where it is.
function children(id, count, make) {
  const parent = $(id);
  while (parent.children.length < count) parent.append(make(parent.children.length));
  return [...parent.children];
}

function drawChips({ query, method, values, top }) {
  const beside = [...page.prefix, page.mean].filter(Boolean), token = (i) => (i < P ? i : tokens);
  const choose = (i) => () => set({ query: token(i) });
  const make = (i) => el("button", { type: "button", onclick: choose(i) }, beside[i], el("i"), el("small"));
  children("chips", beside.length, make).forEach((chip, i) => {
    const [, swatch, note] = chip.childNodes, known = values && i < P;
    chip.setAttribute("aria-pressed", token(i) === query);
    swatch.hidden = note.hidden = !known;
    if (known) swatch.style.background = `rgb(${shade(values[i], top, method.signed)[1]})`;
    if (known) note.textContent = number(values[i]);
  });
}

// A grid of small maps; choose(i) when one is clicked.
function drawGrid(id, names, maps, chosen, topOf, signed, choose) {
  const make = (i) => el("button", { type: "button", onclick: () => choose(i) },
    el("span", { class: "view" }, el("canvas")), el("span", {}, names[i]), el("small", { title: "largest square" }));
  children(id, maps.length, make).forEach((button, i) => {
    const values = maps[i] ?? new Float32Array(tokens);
    paint(button.querySelector("canvas"), values.subarray(P), facts.columns, topOf(values), signed);
    button.setAttribute("aria-pressed", i === chosen);
    button.lastChild.textContent = maps[i] ? number(peak(values)) : "not kept";
  });
}

function drawDepth({ method, maps, top }) {
  const names = LAYERS.map((layer) => `block ${layer}`), topOf = state.range === "depth" ? () => top : peak;
  drawGrid("depth", names, maps, state.layer, topOf, method.signed, (layer) => set({ layer }));
}

function drawHeads({ query, method }) {
  $("heads-card").hidden = !method.heads;
  if (!method.heads) return;
  const maps = HEADS.map((head) => MAPS[state.method](state.layer, head, query));
  const names = HEADS.map((head) => (typeof head === "number" ? `head ${head}` : head));
  $("heads-title").textContent = `Every head of block ${state.layer}`;
  drawGrid("heads", names, maps, HEADS.indexOf(state.head), peak, false, (i) => set({ head: HEADS[i] }));
}

function drawLens(query) {
  const { shape: [depths, , count], values } = data["lens.best"], shares = data["lens.share"].values;
  const make = (depth) => el("tr", { onclick: () => depth && set({ layer: depth - 1 }) },
    el("th", { scope: "row" }, depth ? `block ${depth - 1}` : "input"),
    ...Array.from({ length: count }, () => el("td", {}, el("div", {}, el("span"), el("small")))));
  $("lens-title").textContent = `What the model would call ${tokenName(query)}`;
  children("lens", depths, make).forEach((line, depth) => {
    line.className = depth - 1 === state.layer ? "now" : "";
    line.querySelectorAll("div").forEach((answer, rank) => {
      const at = rowAt("lens.best", [depth, query, rank]), share = percent(shares[at]);
      answer.title = `${facts.labels[values[at]]}: ${share}`;
      answer.style.setProperty("--share", share.replace(" ", ""));
      answer.firstChild.textContent = short(values[at]);
      answer.lastChild.textContent = share;
    });
  });
}

function drawPaths(query) {
  $("path-title").textContent = `The path of ${tokenName(query)} through the blocks`;
  $("paths").replaceChildren(chart("path.length", query, "length of its vector ‖z‖, input and after each block", 0),
    chart("path.turn", query, "cosine with itself one block before", 1));
}

// One token over depth, and the mean of the patches behind it; `first` is the depth of the first number.
function chart(name, query, title, first) {
  const { shape: [depths, asked], values } = data[name];
  const one = Array.from({ length: depths }, (_, d) => values[d * asked + query]);
  const patches = (d) => values.subarray(d * asked + P, d * asked + tokens);
  const all = one.map((_, d) => patches(d).reduce((a, b) => a + b) / (tokens - P));
  const low = Math.min(0, ...one, ...all), high = Math.max(...one, ...all);
  const x = (d) => 34 + (256 * (d + first)) / page.blocks, y = (v) => 92 - (76 * (v - low)) / (high - low || 1);
  const points = (numbers) => numbers.map((v, d) => `${x(d)},${y(v)}`).join(" ");
  const at = state.layer + 1 - first, now = x(at);
  return el("svg", { viewBox: "0 0 300 112", role: "img", "aria-label": title },
    el("text", { x: 0, y: 10 }, title),
    el("line", { class: "axis", x1: 34, x2: 290, y1: y(low), y2: y(low) }),
    el("line", { class: "now", x1: now, x2: now, y1: 16, y2: 92 }),
    el("polyline", { class: "all", points: points(all) }),
    el("polyline", { class: "one", points: points(one) }),
    ...[high, low].map((v) => el("text", { x: 30, y: y(v) + (v === high ? 8 : 0), "text-anchor": "end" }, number(v))),
    el("text", { x: Math.max(70, Math.min(now, 250)), y: 106, "text-anchor": "middle" },
      `block ${state.layer}: ${number(one[at])}`));
}

function drawControls(method) {
  for (const button of $("methods").children) button.setAttribute("aria-pressed", button.value === state.method);
  for (const id of ["layer", "head", "answer", "range", "picture"]) $(id).value = state[id];
  $("head").hidden = $("head-label").hidden = !method.heads;
  $("answer").hidden = $("answer-label").hidden = !method.answer;
  $("about").textContent = method.about;
  $("layer-now").textContent = `${state.layer} of 0–${page.blocks - 1}`;
  document.documentElement.style.setProperty("--opacity", state.opacity);
  $("play").textContent = timer ? "❚❚ pause" : "▶ play";
}

// ---- what can be done
function set(change) {
  Object.assign(state, { hover: null }, change);
  draw();
}

async function choosePicture(picture) {
  const loaded = await load(picture), before = tokens;
  [data, facts, state.picture] = [loaded, page.pictures[picture], picture];
  tokens = P + facts.rows * facts.columns;
  if (!before || state.query === before || state.query >= tokens) state.query = asker();
  document.documentElement.style.setProperty("--photo", `url(${facts.photo})`);
  document.documentElement.style.setProperty("--aspect", facts.columns / facts.rows);
  const said = facts.answer.map(([index, share]) => `${short(index)} ${percent(share)}`);
  $("said").textContent = said.length ? `The model's answer: ${said.join(" · ")}` : "";
  $("answer").replaceChildren(...said.map((name, i) => el("option", { value: i }, name)));
}

function play() {
  if (timer) clearInterval(timer);
  timer = timer ? null : setInterval(() => set({ layer: (state.layer + 1) % page.blocks }), 700);
  draw();
}

const step = (list, now, by) => list[(list.indexOf(now) + by + list.length) % list.length];
const asker = () => (page.mean ? tokens : 0); // what becomes the feature of the picture

// The neighbouring square of the chosen one; from a token beside the picture, the first square.
function neighbour(down, right) {
  if (!isPatch(state.query)) return P;
  const [r, c] = place(state.query);
  const [row, column] = [Math.min(r + down, facts.rows - 1), Math.min(c + right, facts.columns - 1)];
  return P + Math.max(row, 0) * facts.columns + Math.max(column, 0);
}

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function press(event) {
  const { key, target } = event, methods = kept();
  if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT"].includes(target.tagName)) return;
  if (key === " " && target.tagName === "BUTTON") return; // space presses it
  if (key in ARROWS && event.shiftKey) set({ query: neighbour(...ARROWS[key]) });
  else if (key === "ArrowLeft" || key === "ArrowRight") set({ layer: step(LAYERS, state.layer, ARROWS[key][1]) });
  else if (key === "ArrowUp" || key === "ArrowDown") set({ head: step(HEADS, state.head, ARROWS[key][0]) });
  else if (key === " ") play();
  else if (key === "Escape") { if (timer) play(); set({ query: asker() }); }
  else if (methods[key - 1]) set({ method: methods[key - 1] });
  else return;
  event.preventDefault();
}

// The mouse shows while it hovers and keeps on a click; a finger keeps where it is.
function point(event) {
  const box = $("stage").getBoundingClientRect();
  const r = Math.floor(((event.clientY - box.top) / box.height) * facts.rows);
  const c = Math.floor(((event.clientX - box.left) / box.width) * facts.columns);
  const square = P + r * facts.columns + c, hover = event.type === "pointermove" && event.pointerType === "mouse";
  if (r < 0 || c < 0 || r >= facts.rows || c >= facts.columns || (hover && square === state.hover)) return;
  set(hover ? { hover: square } : { query: square });
}

// ---- the address: #L5H3q87, then if they are not the first: -method, -c1 (class), -i2 (picture)
const LINK = /^#L(\d+)(?:H(\d+|mean|max|min))?(?:q(\d+|mean))?(?:-([a-z]+))?(?:-c(\d+))?(?:-i(\d+))?$/;

function remember() {
  const { layer, head, query, method, answer, picture } = state;
  const rest = [method !== "attention" && method, answer && `c${answer}`, picture && `i${picture}`].filter(Boolean);
  try {
    history.replaceState(null, "", [`#L${layer}H${head}q${query === tokens ? "mean" : query}`, ...rest].join("-"));
  } catch { /* a frame in a notebook has no address of its own */ }
}

async function follow() {
  const found = LINK.exec(location.hash), wrong = [];
  const within = (text, count, what, otherwise) => {
    if (text !== undefined && +text >= count) wrong.push(`${what} ${text} is not there, 0 to ${count - 1} are`);
    return +text < count ? +text : otherwise;
  };
  if (location.hash.length > 1 && !found) wrong.push(`${location.hash} names no view; a link looks like #L5H3q87`);
  if (found) {
    const [, layer, head, query, method, answer, picture] = found;
    await choosePicture(within(picture, page.pictures.length, "picture", 0));
    state.layer = within(layer, page.blocks, "block", state.layer);
    state.head = page.merges.includes(head) ? head : within(head, page.heads, "head", "mean");
    state.query = query === "mean" ? asker() : within(query, tokens, "token", asker());
    state.answer = within(answer, facts.answer.length, "class", 0);
    if (method && !kept().includes(method)) wrong.push(`there is no method “${method}” here`);
    else state.method = method ?? "attention";
  }
  $("notice").textContent = wrong.join("; ");
}

// ---- the start
function connect() {
  $("methods").replaceChildren(...kept().map((method) =>
    el("button", { type: "button", value: method, onclick: () => set({ method }) }, page.methods[method].name)));
  $("head").replaceChildren(...HEADS.map((head) => el("option", { value: head }, headName(head))));
  $("head").oninput = (event) => set({ head: HEADS[event.target.selectedIndex] });
  $("layer").max = page.blocks - 1;
  $("layer").oninput = (event) => set({ layer: +event.target.value });
  $("answer").oninput = (event) => set({ answer: +event.target.value });
  $("range").oninput = (event) => set({ range: event.target.value });
  $("opacity").oninput = (event) => set({ opacity: event.target.value / 100 });
  $("play").onclick = play;
  $("theme").onclick = () => theme(document.documentElement.dataset.theme === "light");
  $("picture").replaceChildren(...page.pictures.map(({ name }, i) => el("option", { value: i }, name)));
  $("picture").oninput = (event) => choosePicture(+event.target.value).then(draw);
  $("chooser").hidden = page.pictures.length < 2;
  $("stage").onpointermove = $("stage").onpointerdown = point;
  $("stage").onpointerleave = () => state.hover !== null && set({});
  addEventListener("keydown", press);
  addEventListener("hashchange", () => follow().then(draw));
}

const theme = (dark) => { document.documentElement.dataset.theme = dark ? "dark" : "light"; };

async function start() {
  theme(matchMedia("(prefers-color-scheme: dark)").matches);
  await choosePicture(0);
  connect();
  await follow();
  draw();
  document.documentElement.dataset.ready = Math.round(performance.now());
}

start().catch((error) => {
  document.documentElement.className = "static"; // the picture without controls is better than an empty page
  throw error;
});
