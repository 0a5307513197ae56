// Opens the pages of the admin listener in Chromium, as an operator does, and fails if a page reports an error or
// asks an address that is neither the admin listener nor the API.
//
// ADMIN, API, ACCOUNT_ID, TOKEN and GROUP (the name of a group) say what to use. SCREENSHOTS names a folder for
// pictures. CHROMIUM names the browser.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const { ADMIN, API, ACCOUNT_ID, TOKEN, GROUP, SCREENSHOTS } = process.env;
const PATIENCE_MS = 30_000;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
});

// A page, and what it complains about.
async function open(path, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && ![ADMIN, API].includes(origin)) complaints.push(`outside: ${request.url()}`);
  });
  await page.goto(`${ADMIN}${path}`);
  return { context, page, complaints };
}

async function picture(page, name, clip) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, clip });
}

// Sends requests to the API, so that there is something to see.
async function use(times) {
  const headers = { "X-Auth-Token": TOKEN, "Content-Type": "application/json" };
  const groups = `${API}/v2/accounts/${ACCOUNT_ID}/groups`;
  for (let time = 0; time < times; time += 1) {
    await (await fetch(groups, { headers })).text();
    if (time % 5 === 0) {
      const body = JSON.stringify({ data: { name: `Shift ${time}` } });
      await (await fetch(groups, { method: "PUT", headers, body })).text();
    }
  }
  const login = { data: { credentials: "0".repeat(32), account_name: "nobody" } };
  const body = JSON.stringify(login);
  await (await fetch(`${API}/v2/user_auth`, { method: "PUT", headers: { "Content-Type": "application/json" }, body })).text();
}

// Tries an operation on /docs, and answers its status and what the page shows of the answer.
async function tryOperation(page, id, fillIn) {
  const block = page.locator(`#operations-${id}`);
  await block.locator(".opblock-summary-control").click();
  await block.locator(".execute").waitFor();
  await fillIn(block);
  await block.locator(".execute").click();
  const answer = block.locator(".live-responses-table tbody .response").first();
  await answer.waitFor();
  const status = (await answer.locator(".response-col_status").innerText()).trim();
  return { block, status: Number.parseInt(status, 10), text: await answer.innerText() };
}

async function checkDocs() {
  const { context, page, complaints } = await open("/docs");
  const account = (block) => block.locator('tr[data-param-name="ACCOUNT_ID"] input').fill(ACCOUNT_ID);
  await page.locator(".opblock").first().waitFor();
  assert.equal(await page.locator(".servers select").inputValue(), `${API}/v2`);
  // The list of requests; behind a trial, the picture would show a token.
  await page.locator(".opblock-tag").first().evaluate((tag) => tag.scrollIntoView());
  await picture(page, "docs", { x: 0, y: 0, width: 1280, height: 560 });

  // Without a token, the API refuses.
  const refused = await tryOperation(page, "groups-listGroupsInAccount", account);
  assert.equal(refused.status, 401, refused.text);
  await refused.block.locator(".btn-clear").click();
  await refused.block.locator(".opblock-summary-control").click();
  assert.equal(complaints.length, 1, `the browser tells of the refusal, and of nothing else: ${complaints}`);
  complaints.length = 0;

  await page.locator(".auth-wrapper .authorize").first().click();
  const header = page.locator(".auth-container").filter({ hasText: "X-Auth-Token" }).first();
  await header.locator("input").fill(TOKEN);
  await header.locator("button.authorize").click();
  await page.locator(".modal-ux .btn-done").first().click();

  const listed = await tryOperation(page, "groups-listGroupsInAccount", account);
  assert.equal(listed.status, 200, listed.text);
  assert.ok(listed.text.includes(GROUP), listed.text);
  assert.ok(!listed.text.includes("additionalProp"), "the page invents no filters");
  await listed.block.locator(".opblock-summary-control").click();

  const created = await tryOperation(page, "groups-createGroupInAccount", async (block) => {
    await account(block);
    await block.locator("textarea.body-param__text").fill('{"data":{"name":"Made on the page"}}');
  });
  assert.equal(created.status, 201, created.text);
  assert.ok(created.text.includes("Made on the page"), created.text);
  assert.deepEqual(complaints, []);
  await context.close();
}

async function checkStatus() {
  const { context, page, complaints } = await open("/status");
  await use(50);
  // The page draws itself anew.
  const counted = async (least) => (await page.waitForFunction(
    (least) => {
      const route = [...document.querySelectorAll("#routes tr")]
        .find(({ cells }) => cells[0].textContent === "GET /v2/accounts/{account_id}/groups");
      const count = Number(route?.cells[1].textContent.replaceAll(",", ""));
      return count >= least && count;
    },
    least,
  )).jsonValue();
  const before = await counted(50);
  await use(20);
  await counted(before + 20);
  for (let round = 0; round < 12; round += 1) {
    await use(40);
    await page.waitForTimeout(250);
  }
  await page.waitForFunction(() => /^[1-9][\d.,]* \/ s$/.test(document.querySelector("#requests").textContent));
  const text = await page.locator("body").innerText();
  for (const wanted of ["ready", "refused a request", "page_size", "from the flag", "sqlite:", "Kazoo 5.0"]) {
    assert.ok(text.includes(wanted), `${wanted} is missing in:\n${text}`);
  }
  assert.ok(!text.includes(TOKEN));
  assert.ok(!/undefined|NaN|null|\[object/.test(text), text);
  // What is below names the store's path on this machine.
  await picture(page, "status", { x: 0, y: 0, width: 1280, height: 420 });
  assert.deepEqual(complaints, []);

  // Without an answer the page says that its figures are old.
  await context.setOffline(true);
  await page.locator("#lost").waitFor({ state: "visible" });
  await context.close();
}

async function checkPhone() {
  const { context, page, complaints } = await open("/status", {
    viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true,
  });
  await page.locator("#routes tr td").nth(6).waitFor({ state: "attached" });
  const [width, wanted] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(width <= wanted, `the page is ${width} wide on a screen of ${wanted}`);
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const [red, green, blue] = background.match(/\d+/g).map(Number);
  assert.ok(red + green + blue < 3 * 60, `${background} is not dark`);
  assert.deepEqual(complaints, []);
  await context.close();
}

// The policy holds: neither page runs what stands within it, nor asks another address.
async function checkPolicy(path) {
  const { context, page } = await open(path);
  const violated = await page.evaluate(async () => {
    const directives = [];
    document.addEventListener("securitypolicyviolation", (event) => directives.push(event.effectiveDirective));
    await fetch("http://127.0.0.2:9/").catch(() => {});
    const script = document.createElement("script");
    script.textContent = "window.hasRun = true";
    document.body.append(script);
    await new Promise((done) => { setTimeout(done, 100); });
    return [window.hasRun === true, ...directives.sort()];
  });
  assert.deepEqual(violated, [false, "connect-src", "script-src-elem"], path);
  await context.close();
}

try {
  await checkDocs();
  await checkStatus();
  await checkPhone();
  await checkPolicy("/docs");
  await checkPolicy("/status");
} finally {
  await browser.close();
}
