// The questions: a list of which only the visible rows exist, filters, and one question in full. Every text is data (textContent).
(() => {
  const data = JSON.parse(document.getElementById("data").textContent), names = data.approaches, HEIGHT = 40;
  const $ = (id) => document.getElementById(id), say = (en, zh) => (language() === "zh" ? zh : en);
  const WORDS = { right: ["right", "正确"], missing: ["missing", "缺失"], wrong: ["wrong", "错误"], error: ["error", "出错"], unscored: ["not scored", "未评分"], none: ["not asked", "未作答"] };
  const SIGNS = { right: "✓", missing: "○", wrong: "✕", error: "!", unscored: "·", none: "" };
  const KINDS = { facts: ["facts", "事实"], form: ["form", "格式"], terms: ["terms", "术语"], en: ["English", "英文"], zh: ["Chinese", "中文"] };
  const word = (table, key) => (Object.hasOwn(table, key) ? say(...table[key]) : key);
  const matrix = $("matrix"), rows = $("rows"), heads = $("heads"), detail = $("detail"), find = $("find");
  const state = { show: "all", pattern: null, need: "", kind: "", language: "", stratum: "", right: "", wrong: "", list: [], at: 0 };

  const make = (tag, cls, text) => {
    const node = document.createElement(tag);
    if (cls) node.className = cls;
    if (text !== undefined && text !== null) node.textContent = text;
    return node;
  };
  const rowOf = (question, name) => (Object.hasOwn(question.rows, name) ? question.rows[name] : null);
  const statusOf = (question, name) => { const row = rowOf(question, name); return row ? row.status : "none"; };
  // With several training seeds no single answer speaks for the approach: filters ask whether more than half of them were right.
  const rightIn = (row) => row.seeds.filter(([status]) => status === "right").length;
  const outcome = (question, name) => {
    const row = rowOf(question, name);
    if (!row || !row.seeds) return statusOf(question, name);
    if (2 * rightIn(row) > row.seeds.length) return "right";
    return row.status === "right" ? row.seeds.map(([status]) => status).find((status) => status !== "right") : row.status;
  };
  const badge = (status) => { const node = make("i", "m " + status, SIGNS[status]); node.setAttribute("role", "img"); node.setAttribute("aria-label", word(WORDS, status)); node.title = word(WORDS, status); return node; };
  const hay = (question) => question.hay || (question.hay = [question.id, question.question, ...question.answers, ...question.gold.map((gold) => gold.document),
    ...names.map((name) => { const row = rowOf(question, name); return row ? row.text + "\n" + (row.error || "") : ""; })].join("\n"));

  // ---- which questions are shown
  const failing = () => data.choice || names[0];
  const sets = {};
  const members = (key) => sets[key] || (sets[key] = new Set(data.strata[key].map((place) => data.questions[place])));
  function wanted(question) {
    if (state.need && question.need !== state.need) return false;
    if (state.kind && question.kind !== state.kind) return false;
    if (state.language && question.language !== state.language) return false;
    if (state.stratum && !members(state.stratum).has(question)) return false;
    if (state.right !== "" && outcome(question, names[state.right]) !== "right") return false;
    if (state.wrong !== "" && ["right", "none"].includes(outcome(question, names[state.wrong]))) return false;
    if (state.show === "failures" && ["right", "none"].includes(outcome(question, failing()))) return false;
    if (state.show === "different" && new Set(names.map((name) => outcome(question, name)).filter((status) => status !== "none")).size < 2) return false;
    return !state.pattern || state.pattern.test(hay(question));
  }
  function filter(keep) {
    const current = keep && state.list[state.at];
    state.list = data.questions.filter(wanted);
    state.at = Math.max(0, current ? state.list.indexOf(current) : 0);
    matrix.setAttribute("aria-rowcount", state.list.length + 1);
    rows.style.height = state.list.length * HEIGHT + "px";
    $("count").textContent = say(`${state.list.length} of ${data.questions.length} questions`, `${data.questions.length} 题中的 ${state.list.length} 题`);
    if (!keep) matrix.scrollTop = 0;
    draw();
    open();
  }
  function search() {
    const text = find.value;
    find.setAttribute("aria-invalid", "false");
    find.title = "";
    try {
      state.pattern = text ? new RegExp(text, "iu") : null;
    } catch (error) { // not a regular expression (yet): take it as plain text, and say so
      state.pattern = new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "i");
      find.setAttribute("aria-invalid", "true");
      find.title = say("Not a regular expression: searched as plain text", "不是有效的正则表达式：按普通文本搜索");
    }
    filter(true);
  }

  // ---- the list: only what is in view is in the page
  const narrow = matchMedia("(max-width: 640px)");
  const template = () => narrow.matches ? `minmax(9rem, 1fr) repeat(${names.length}, 3.1rem)` : `minmax(15rem, 3.4fr) 6.8rem repeat(${names.length}, minmax(4.2rem, 1fr))`;
  function line(position) {
    const question = state.list[position], node = make("div", "row");
    node.id = "row-" + position;
    node.style.gridTemplateColumns = template();
    node.style.top = position * HEIGHT + "px";
    node.setAttribute("role", "row");
    node.setAttribute("aria-rowindex", position + 2);
    node.setAttribute("aria-selected", position === state.at);
    const ask = make("span", "ask", question.question), kind = make("span", "sort", word(KINDS, question.need) + " · " + question.kind);
    ask.dir = "auto";
    ask.setAttribute("role", "rowheader");
    kind.setAttribute("role", "gridcell");
    node.append(ask, kind);
    for (const name of names) {
      const cell = make("span");
      cell.setAttribute("role", "gridcell");
      cell.append(badge(statusOf(question, name)));
      const row = rowOf(question, name);
      if (row && row.seeds) cell.append(make("small", "of", `${rightIn(row)}/${row.seeds.length}`));
      node.append(cell);
    }
    node.addEventListener("click", () => select(position));
    return node;
  }
  function draw() {
    const first = Math.max(0, Math.floor(matrix.scrollTop / HEIGHT) - 5), last = Math.min(state.list.length, first + Math.ceil(matrix.clientHeight / HEIGHT) + 12);
    const lines = [];
    for (let position = first; position < last; position += 1) lines.push(line(position));
    rows.replaceChildren(...lines);
    if (state.list.length) matrix.setAttribute("aria-activedescendant", "row-" + state.at);
    else matrix.removeAttribute("aria-activedescendant");
  }
  function select(position) {
    if (!state.list.length) return;
    state.at = Math.max(0, Math.min(state.list.length - 1, position));
    const top = state.at * HEIGHT, room = matrix.clientHeight - heads.offsetHeight;
    if (top < matrix.scrollTop) matrix.scrollTop = top;
    if (top + HEIGHT > matrix.scrollTop + room) matrix.scrollTop = top + HEIGHT - room;
    draw();
    open();
  }
  function keys(event) {
    const page = Math.max(1, Math.floor(matrix.clientHeight / HEIGHT) - 2);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9, j: 1, k: -1 }[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    select(state.at + step);
  }

  // ---- one question in full
  // Offsets count code points of the document; JavaScript's strings count UTF-16 units, so the passage is split into code points.
  function passage(entry, citations, gold) {
    const [number, rank] = entry, chunk = data.passages[number], box = make("div", "passage"), header = make("header");
    const letters = Array.from(chunk.text), place = [chunk.title || chunk.document, chunk.heading, chunk.page ? say("p. ", "第 ") + chunk.page + say("", " 页") : "", chunk.document].filter(Boolean);
    header.textContent = `${rank}. ` + [...new Set(place)].join(" · ");
    box.append(header);
    const inside = (item) => item.document === chunk.document && item.end > chunk.start && item.start < chunk.end;
    const quotes = citations.filter((item) => item.on.includes(number)), truths = gold.filter(inside);
    const cuts = new Set([0, letters.length]);
    for (const item of [...quotes, ...truths]) for (const at of [item.start, item.end]) cuts.add(Math.max(0, Math.min(letters.length, at - chunk.start)));
    const edges = [...cuts].sort((a, b) => a - b), body = make("div");
    body.dir = "auto";
    for (let i = 0; i + 1 < edges.length; i += 1) {
      const from = edges[i] + chunk.start, to = edges[i + 1] + chunk.start, text = letters.slice(edges[i], edges[i + 1]).join("");
      const covers = (item) => item.start <= from && item.end >= to;
      let node = truths.some(covers) ? make("u", "", text) : document.createTextNode(text);
      if (node.nodeType === 1) node.title = say("the gold answer stands here", "标准答案所在");
      if (quotes.some(covers)) { const mark = make("mark"); mark.title = say("cited", "被引用"); mark.append(node); node = mark; }
      body.append(node);
    }
    box.append(body);
    for (const cited of quotes) box.append(verdict(cited));
    return box;
  }
  function verdict(cited) {
    const how = cited.located ? say("found by us", "由系统定位") : say("cited as ", "引用标记 ") + (cited.marker || "–");
    const node = make("p", "meta");
    node.append(how + ": ", make("span", cited.verified ? "ok" : "not", cited.verified ? say("verified", "已核实") : say("not verified", "未核实")), cited.reason ? " – " + say(...cited.reason) : "");
    return node;
  }
  function seeds(row) {
    const box = make("details", "seeds");
    box.append(make("summary", "", say(`right in ${rightIn(row)} of ${row.seeds.length} training seeds; these are the first one’s words`, `${row.seeds.length} 个训练种子中 ${rightIn(row)} 个答对；以上为第一个种子的原话`)));
    row.seeds.forEach(([status, text], index) => {
      const line = make("p", "meta"), words = make("bdi", "", text || say("(empty answer)", "（空答案）"));
      line.append(badge(status), ` ${index + 1}. `, words);
      box.append(line);
    });
    return box;
  }
  function reply(question, name) {
    const row = rowOf(question, name), box = make("section", "reply" + (name === data.choice ? " chosen" : "")), head = make("h4");
    const status = statusOf(question, name), title = make("bdi", "", name);
    head.append(badge(status), title, make("small", "", word(WORDS, status) + (row && row.refused ? say(", refused", "，拒答") : "")));
    box.append(head);
    if (!row) return box;
    const failed = row.error !== undefined, hits = row.hits || [], citations = row.citations || [];
    const said = make("p", "said" + (failed ? " error" : ""), failed ? row.error || say("(no message)", "（无信息）") : row.text || say("(empty answer)", "（空答案）"));
    said.dir = "auto";
    box.append(said);
    if (row.raw) box.append(make("p", "raw", say("In its own words: ", "模型原文：") + row.raw));
    if (row.seeds) box.append(seeds(row));
    const score = row.score !== undefined ? `${data.metric === "quality" ? say("quality", "质量") : data.metric} ${(100 * row.score).toFixed(0)} · ` : "";
    box.append(make("p", "meta", `${score}${row.seconds.toFixed(2)} s · ${row.in} → ${row.out} ${say("tokens", "词元")}`));
    if (!hits.length) { box.append(...citations.map(verdict)); return box; }
    const fold = make("details"), good = citations.filter((item) => item.verified).length;
    fold.append(make("summary", "", citations.length
      ? say(`${hits.length} passages, ${citations.length} cited, ${good} verified`, `${hits.length} 段，引用 ${citations.length} 处，已核实 ${good} 处`)
      : say(`${hits.length} passages, none cited`, `${hits.length} 段，未引用`)));
    fold.open = opened;
    fold.addEventListener("toggle", () => { if (fold.isConnected) opened = fold.open; });
    fold.append(...hits.map((hit) => passage(hit, citations, question.gold)), ...citations.filter((item) => !item.on.length).map(verdict));
    box.append(fold);
    return box;
  }
  let opened = false;
  function open() {
    const question = state.list[state.at];
    if (!question) { detail.replaceChildren(make("p", "none", say("No question fits these filters.", "没有符合筛选条件的题目。"))); return; }
    const gold = make("div", "gold"), steps = make("div", "steps"), facts = make("dl"), answers = make("div", "answers");
    for (const [by, en, zh] of [[-1, "↑ previous", "↑ 上一题"], [1, "↓ next", "↓ 下一题"]]) {
      const button = make("button", "ghost", say(en, zh));
      button.type = "button";
      button.addEventListener("click", () => { select(state.at + by); const again = detail.querySelectorAll(".steps button")[by > 0 ? 1 : 0]; if (again) again.focus(); });
      steps.append(button);
    }
    const title = make("h3", "", question.question);
    title.dir = "auto";
    const add = (en, zh, text, cls) => { facts.append(make("dt", "", say(en, zh)), make("dd", cls, text)); };
    add("Gold answer", "标准答案", question.unanswerable ? say("None: it cannot be answered from the documents", "无：文档中没有答案") : question.answers.join(" / ") || "–", "want");
    if (question.gold.length) add("Stands in", "出处", question.gold.map((item) => item.document + (item.end ? ` ${item.start}–${item.end}` : "")).join("; "));
    add("Need, kind", "需求、题型", word(KINDS, question.need) + " · " + question.kind + " · " + word(KINDS, question.language));
    if (question.rules) add("Rules", "规则", JSON.stringify(question.rules));
    add("Question", "编号", `${question.id} (${state.at + 1} / ${state.list.length})`);
    gold.append(steps, title, facts);
    answers.append(...names.map((name) => reply(question, name)));
    detail.replaceChildren(gold, answers);
  }

  // ---- controls
  function options(select, values, all) {
    const chosen = select.value;
    select.replaceChildren(...[["", all], ...values].map(([value, text]) => { const option = make("option", "", text); option.value = value; return option; }));
    select.value = chosen || "";
  }
  const distinct = (key) => [...new Set(data.questions.map((question) => question[key]))].sort().map((value) => [value, word(KINDS, value)]);
  function controls() {
    for (const key of ["need", "kind", "language"]) { options($(key), distinct(key), say("all", "全部")); $(key).parentElement.hidden = $(key).options.length < 3; }
    options($("stratum"), Object.keys(data.strata).map((key) => [key, data.words[key][language() === "zh" ? 1 : 0]]), say("all", "全部"));
    $("stratum").parentElement.hidden = $("stratum").options.length < 2;
    for (const key of ["right", "wrong"]) { options($(key), names.map((name, index) => [String(index), name]), say("any", "不限")); $(key).parentElement.hidden = names.length < 2; }
    const seeded = data.questions.some((question) => names.some((name) => (rowOf(question, name) || {}).seeds));
    $("rule").hidden = !seeded;
    $("rule").textContent = say("2/3: right in 2 of 3 training seeds. The sign is that of the first seed’s answer, which is shown; the filters take an approach for right where more than half of its seeds are.", "2/3：3 个训练种子中 2 个答对。符号对应所示的第一个种子的答案；筛选时，半数以上种子答对才算该方案答对。");
    $("of").textContent = names.length > 1 ? say(" of ", "：") + failing() : "";
    heads.style.gridTemplateColumns = template();
    rows.style.minWidth = heads.style.minWidth = (narrow.matches ? 9.4 + 3.5 * names.length : 22.8 + 4.7 * names.length) + "rem";
    heads.replaceChildren(make("span", "", say("Question", "题目")), make("span", "", say("Need · kind", "需求 · 题型")), ...names.map((name) => { const head = make("span", "", name); head.title = name; return head; }));
    for (const head of heads.children) head.setAttribute("role", "columnheader");
  }
  for (const key of ["need", "kind", "language", "stratum", "right", "wrong"]) $(key).addEventListener("change", () => { state[key] = $(key).value; filter(true); });
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      state.show = button.dataset.show;
      for (const other of document.querySelectorAll("[data-show]")) other.setAttribute("aria-pressed", other === button);
      filter(true);
    });
  }
  const form = document.querySelector(".filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    Object.assign(state, { pattern: null, need: "", kind: "", language: "", stratum: "", right: "", wrong: "" });
    document.querySelector("[data-show=all]").click();
  }));
  let waiting = 0, frame = 0;
  find.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 120); });
  matrix.addEventListener("scroll", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(draw); }, { passive: true });
  matrix.addEventListener("keydown", keys);
  document.addEventListener("language", () => { controls(); filter(true); });
  addEventListener("resize", draw);
  narrow.addEventListener("change", () => { controls(); draw(); });
  $("browser").hidden = false;
})();
setLanguage(recall("language") || root.dataset.language);
