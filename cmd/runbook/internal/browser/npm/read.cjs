// Reads pages as people do, in Chromium. Standard input is JSON: the root's url, pages by name, and what to search, open
// and copy. Standard output is a line of JSON for each thing that was tried: its name, and what is wrong, if anything.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");

const ask = JSON.parse(fs.readFileSync(0, "utf8"));
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const origin = new URL(ask.url).origin;
const at = (page) => new URL(page, ask.url).href;

// open is a new page; close holds against it what it did to other origins and what it complained of.
async function open(browser, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (m) => {
    const refused = m.text().startsWith("Failed to load resource") && m.location().url === at(ask.pages["404"] ?? "");
    if (["error", "warning"].includes(m.type()) && !refused) wrong.push(`console: ${m.text()}`);
  });
  page.on("pageerror", (e) => wrong.push(`error: ${e.message}`));
  page.on("request", (r) => {
    if (new URL(r.url()).origin !== origin && !r.url().startsWith("data:")) wrong.push(`asks another origin: ${r.url()}`);
  });
  page.on("response", (r) => {
    if (r.status() >= 500) wrong.push(`${r.status()} ${r.url()}`);
  });
  return { page, context, close: async () => { await context.close(); assert.deepEqual(wrong, []); } };
}

async function search(browser) {
  const { page, close } = await open(browser);
  await page.goto(at(ask.pages.channel));
  await page.locator("#q").pressSequentially(ask.search, { delay: 20 });
  await page.waitForFunction((name) => {
    const rows = [...document.querySelectorAll("#packages tbody th")].map((th) => th.textContent);
    return rows[0] === name && rows.every((r) => r.includes(document.getElementById("q").value));
  }, ask.search);
  await page.waitForURL((u) => u.searchParams.get("q") === ask.search);
  await page.locator("#packages").getByRole("link", { name: ask.search, exact: true }).click();
  await page.waitForSelector("h1");
  assert.equal(await page.locator("h1").textContent(), ask.search);
  await page.getByRole("link", { name: ask.version, exact: true }).first().click();
  assert.equal(await page.locator("h1").textContent(), `${ask.search} ${ask.version}`);
  await page.goBack();
  await page.goBack();
  assert.equal(await page.inputValue("#q"), ask.search, "going back loses the search");
  await close();
}

async function copy(browser) {
  const { page, close } = await open(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(at(ask.pages.package));
  const buttons = page.locator("button.copy");
  const n = await buttons.count();
  assert.ok(n >= 3, `${n} copy buttons`);
  for (let i = 0; i < n; i++) {
    await buttons.nth(i).click();
    const from = await buttons.nth(i).getAttribute("data-from");
    await page.waitForFunction(() => document.getElementById("status").textContent === "Copied");
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(text, await page.locator(`#${from}`).textContent());
    assert.match(text, new RegExp(ask.search));
  }
  await close();
}

async function withoutScript(browser) {
  const { page, close } = await open(browser, { javaScriptEnabled: false });
  await page.goto(at(ask.pages.channel));
  await page.locator("#q").fill(ask.search);
  await page.locator("form[role=search] button").click();
  assert.equal(await page.locator("#packages tbody th").first().textContent(), ask.search);
  assert.equal(await page.locator("button.copy:visible").count(), 0, "a button that does nothing is shown");
  await page.locator("#packages").getByRole("link", { name: ask.search, exact: true }).click();
  await page.getByRole("link", { name: ask.version, exact: true }).first().click();
  assert.equal(await page.locator("h1").textContent(), `${ask.search} ${ask.version}`);
  await close();
}

// keyboard walks a page with the tab key: everything that can be used is reached, in the order of the text, and shows it.
async function keyboard(browser, name) {
  const { page, close } = await open(browser);
  await page.goto(at(ask.pages[name]));
  const wanted = await page.evaluate(() => [...document.querySelectorAll("a[href], button, input, summary, [tabindex='0']")]
    .filter((e) => e.checkVisibility()).length);
  for (let i = 0; i < wanted; i++) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate((i) => {
      const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
      const before = i > 0 && !(window.before.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING);
      window.before = e;
      return { what: e.outerHTML.slice(0, 100), before, ring: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2,
        inside: r.width > 0 && r.right > 0 && r.left < innerWidth && r.bottom > 0 && r.top < innerHeight };
    }, i);
    assert.ok(!seen.before, `${seen.what} is out of order`);
    assert.ok(seen.ring, `${seen.what} does not show that it has the focus`);
    assert.ok(seen.inside, `${seen.what} has the focus and is not in view`);
  }
  if (name === "channel") {
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "q", "/ does not go to the search");
    await page.keyboard.type(ask.search + "/");
    assert.equal(await page.inputValue("#q"), ask.search + "/");
    await page.keyboard.press("Backspace");
    await page.keyboard.press("Enter");
    await page.waitForURL((u) => u.searchParams.get("q") === ask.search);
    await page.goto(at(ask.pages[name]));
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(new URL(page.url()).hash, "#content", "the first link does not lead to the content");
  }
  await close();
}

// look sees a page as wide as a phone or a desk, by day or by night.
async function look(browser, name, width, colorScheme) {
  const { page, close } = await open(browser, { viewport: { width, height: 800 }, colorScheme });
  const answer = await page.goto(at(ask.pages[name]));
  assert.equal(answer.status(), name === "404" ? 404 : 200);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `it is ${wide} pixels too wide`);
  const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
  assert.equal(back[0] < 128 ? "dark" : "light", colorScheme);
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run());
  assert.ok(passes.length > 10, "axe looked at nothing");
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), []);
  if (ask.pictures) await page.screenshot({ path: path.join(ask.pictures, `${name}-${width}-${colorScheme}.png`), fullPage: ask.whole });
  await close();
}

async function main() {
  const browser = await chromium.launch({ executablePath: ask.chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const attempt = async (name, f) => {
    let wrong = "";
    try { await f(); } catch (e) { wrong = e.stack; }
    console.log(JSON.stringify({ name, wrong }));
  };
  if (ask.search) {
    await attempt("search", () => search(browser));
    await attempt("copy", () => copy(browser));
    await attempt("without script", () => withoutScript(browser));
  }
  for (const name of Object.keys(ask.pages)) {
    if (ask.search) await attempt(`keyboard ${name}`, () => keyboard(browser, name));
    for (const width of ask.widths ?? [360, 1280])
      for (const scheme of ask.schemes ?? ["light", "dark"]) await attempt(`${name} ${width} ${scheme}`, () => look(browser, name, width, scheme));
  }
  await browser.close();
}
main().catch((e) => { console.error(e); process.exit(1); });
