'use strict';
// Everything shown comes from the two JSON blocks and goes into the document
// as text nodes: nothing an event holds is ever parsed as markup.
(() => {
  const data = id => JSON.parse(document.getElementById(id).textContent);
  const rows = data('matches'), rules = data('rules');
  const TIME = 0, QUALITY = 1, RULE = 2, HOST = 3, PATH = 4, FORMAT = 5, RECORD = 6, LINE = 7, OFFSET = 8, FIELDS = 9, EVENT = 10;
  const levels = ['critical', 'high', 'medium', 'low', 'informational'];
  const pageRows = 100, binCount = 120, optionsMax = 1000;
  const at = id => document.getElementById(id);
  const el = (name, text, cls) => {
    const e = document.createElement(name);
    if (text !== undefined) e.textContent = text;
    if (cls) e.className = cls;
    return e;
  };
  const level = r => rules[r[RULE]].level;
  const ms = r => r[TIME] ? Date.parse(r[TIME]) : NaN;

  rows.sort((a, b) => {
    const x = ms(a), y = ms(b);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x - y || (a[TIME] < b[TIME] ? -1 : a[TIME] > b[TIME] ? 1 : 0);
  });

  const filter = { levels: new Set(levels), rule: '', host: '', text: '', from: null, to: null };
  let shown = [], page = 0;

  function passes(r) {
    if (!filter.levels.has(level(r))) return false;
    if (filter.rule !== '' && r[RULE] !== Number(filter.rule)) return false;
    if (filter.host !== '' && r[HOST] !== filter.host) return false;
    if (filter.from !== null && !(ms(r) >= filter.from && ms(r) < filter.to)) return false;
    if (filter.text !== '') {
      const t = filter.text;
      return r[EVENT].toLowerCase().includes(t) || rules[r[RULE]].title.toLowerCase().includes(t) || r[PATH].toLowerCase().includes(t);
    }
    return true;
  }

  function update() {
    shown = rows.filter(passes);
    page = 0;
    drawTimeline();
    drawTable();
  }

  function drawTimeline() {
    const svg = at('timeline'), ns = 'http://www.w3.org/2000/svg';
    svg.replaceChildren();
    const times = shown.map(ms).filter(t => !Number.isNaN(t));
    at('first').textContent = at('last').textContent = '';
    if (times.length === 0) return;
    const lo = times[0], hi = times[times.length - 1], step = Math.max(1, Math.ceil((hi - lo + 1) / binCount));
    const bins = new Map();
    for (const r of shown) {
      const t = ms(r);
      if (Number.isNaN(t)) continue;
      const b = Math.floor((t - lo) / step);
      if (!bins.has(b)) bins.set(b, {});
      const c = bins.get(b);
      c[level(r)] = (c[level(r)] || 0) + 1;
    }
    const sum = c => levels.reduce((n, l) => n + (c[l] || 0), 0);
    const most = Math.max(...[...bins.values()].map(sum));
    svg.setAttribute('viewBox', `0 0 ${binCount} 100`);
    svg.setAttribute('preserveAspectRatio', 'none');
    for (const [b, c] of bins) {
      const g = document.createElementNS(ns, 'g');
      let y = 100;
      const rect = (cls, height) => {
        const r = document.createElementNS(ns, 'rect');
        r.setAttribute('x', b + 0.08); r.setAttribute('width', 0.84);
        r.setAttribute('y', y - height); r.setAttribute('height', height);
        r.setAttribute('class', cls);
        g.append(r);
      };
      for (const l of [...levels].reverse()) {
        if (!c[l]) continue;
        const h = Math.max(1.5, 96 * c[l] / most);
        rect(l, h);
        y -= h;
      }
      y = 100;
      rect('hit', 100);
      const title = document.createElementNS(ns, 'title');
      title.textContent = `${new Date(lo + b * step).toISOString()}: ${sum(c)}`;
      g.append(title);
      g.addEventListener('click', () => { filter.from = lo + b * step; filter.to = filter.from + step; update(); });
      svg.append(g);
    }
    at('first').textContent = new Date(lo).toISOString();
    at('last').textContent = new Date(hi).toISOString();
  }

  const position = r => r[RECORD] ? `record ${r[RECORD]}` : r[LINE] ? `line ${r[LINE]}` : `byte ${r[OFFSET]}`;

  function drawTable() {
    const body = at('rows'), pages = Math.max(1, Math.ceil(shown.length / pageRows));
    body.replaceChildren();
    for (const r of shown.slice(page * pageRows, (page + 1) * pageRows)) {
      const tr = el('tr', undefined, 'row');
      tr.tabIndex = 0;
      const time = el('td', r[TIME] || 'no time');
      if (r[QUALITY] !== 'parsed' && r[TIME]) time.append(el('div', r[QUALITY], 'dim'));
      const lv = el('td');
      lv.append(el('span', level(r), 'level ' + level(r)));
      const src = el('td', r[PATH]);
      src.append(el('div', position(r), 'dim'));
      tr.append(time, lv, el('td', rules[r[RULE]].title), el('td', r[HOST]), src);
      let open = null;
      const toggle = () => {
        if (open) { open.remove(); open = null; return; }
        open = el('tr');
        const td = el('td');
        td.colSpan = 5;
        td.append(details(r));
        open.append(td);
        tr.after(open);
      };
      tr.addEventListener('click', toggle);
      tr.addEventListener('keydown', e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); toggle(); } });
      body.append(tr);
    }
    at('count').textContent = `${shown.length} of ${rows.length} matches, page ${page + 1} of ${pages}`;
    at('previous').disabled = page === 0;
    at('next').disabled = page >= pages - 1;
  }

  function details(r) {
    const rule = rules[r[RULE]], box = el('div', undefined, 'details'), decided = el('dl');
    for (const [name, value] of Object.entries(r[FIELDS])) {
      for (const v of Array.isArray(value) ? value : [value]) {
        const dd = el('dd');
        dd.append(el('mark', v));
        decided.append(el('dt', name || '(any value)'), dd);
      }
    }
    const about = el('dl');
    const put = (name, text) => { if (text) about.append(el('dt', name), el('dd', text)); };
    put('rule', rule.id);
    put('author', rule.author);
    put('licence', rule.license);
    put('file', rule.file);
    put('tags', rule.tags.join(' '));
    put('about', rule.description);
    put('may also be', rule.falsePositives.join('\n'));
    put('references', rule.references.join('\n'));
    put('source', `${r[PATH]}, ${r[FORMAT]}, ${position(r)}, byte ${r[OFFSET]}`);
    box.append(decided, pretty(r), about);
    return box;
  }

  // pretty indents the event's text without parsing its numbers, which may be
  // larger than JavaScript's, and marks the values that decided.
  function pretty(r) {
    const decided = new Set(Object.values(r[FIELDS]).flat()), pre = el('pre');
    let depth = 0, text = '';
    const flush = () => { if (text) { pre.append(text); text = ''; } };
    const newline = () => { text += '\n' + '  '.repeat(Math.min(depth, 40)); };
    for (const [token] of r[EVENT].matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
      if (token === '{' || token === '[') { text += token; depth++; newline(); }
      else if (token === '}' || token === ']') { depth--; newline(); text += token; }
      else if (token === ',') { text += token; newline(); }
      else if (token === ':') text += ': ';
      else {
        let value = token;
        if (token[0] === '"') { try { value = JSON.parse(token); } catch { value = token; } }
        if (decided.has(value)) { flush(); pre.append(el('mark', token)); } else text += token;
      }
    }
    flush();
    return pre;
  }

  function fill(select, entries) {
    entries.sort((a, b) => b[1] - a[1] || (a[2] < b[2] ? -1 : 1));
    for (const [value, n, label] of entries.slice(0, optionsMax)) {
      const o = el('option', `${label} (${n})`);
      o.value = value;
      select.append(o);
    }
  }
  const count = key => {
    const m = new Map();
    for (const r of rows) m.set(r[key], (m.get(r[key]) || 0) + 1);
    return [...m];
  };
  fill(at('rule'), count(RULE).map(([i, n]) => [String(i), n, rules[i].title]));
  fill(at('host'), count(HOST).filter(([h]) => h !== '').map(([h, n]) => [h, n, h]));

  const byLevel = new Map();
  for (const r of rows) byLevel.set(level(r), (byLevel.get(level(r)) || 0) + 1);
  for (const l of levels) {
    const label = el('label'), box = el('input');
    box.type = 'checkbox';
    box.checked = true;
    box.addEventListener('change', () => { box.checked ? filter.levels.add(l) : filter.levels.delete(l); update(); });
    label.append(box, el('span', undefined, 'swatch ' + l), `${l} (${byLevel.get(l) || 0})`);
    at('levels').append(label);
  }
  at('rule').addEventListener('change', e => { filter.rule = e.target.value; update(); });
  at('host').addEventListener('change', e => { filter.host = e.target.value; update(); });
  at('text').addEventListener('input', e => { filter.text = e.target.value.toLowerCase(); update(); });
  at('all').addEventListener('click', () => { filter.from = filter.to = null; update(); });
  at('previous').addEventListener('click', () => { page--; drawTable(); });
  at('next').addEventListener('click', () => { page++; drawTable(); });
  update();
})();
