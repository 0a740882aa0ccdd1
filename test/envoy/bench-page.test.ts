import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drawHtml } from "../../bench/html-report.js";
import { lookUp } from "../../shim/envoy/locate.js";
import { sampleReport } from "../support/bench-report.js";

const path = process.env["PATH"] ?? "";
const chromiumPath = (await lookUp("chromium", path)) ?? (await lookUp("google-chrome", path)) ?? "";
if (chromiumPath === "") process.stderr.write("Skipped, for there is no Chromium on PATH.\n");

const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"];

describe.skipIf(chromiumPath === "")("the page with plots, in Chromium and offline", () => {
  let dir: string;
  let browser: Browser;
  let page: Page;
  const asked: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "hopgate-page-test-"));
    const file = join(dir, "report.html");
    writeFileSync(file, drawHtml(sampleReport({ warnings: ["The machine is busy."] })));
    browser = await chromium.launch({ executablePath: chromiumPath, args: ARGUMENTS });
    page = await browser.newPage({ viewport: { width: 1000, height: 900 }, offline: true });
    page.on("request", (request) => asked.push(request.url()));
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(pathToFileURL(file).href);
  });

  afterAll(async () => {
    await browser.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it("asks for nothing but itself, and complains about nothing", () => {
    expect(asked).toEqual([page.url()]);
    expect(complaints).toEqual([]);
  });

  it("shows each plot, wide as the page, with every text inside of its picture", async () => {
    const plots = page.locator("svg");
    expect(await plots.count()).toBe(5);
    for (const plot of await plots.all()) {
      const frame = await plot.boundingBox();
      if (frame === null) throw new Error("the plot is not shown");
      expect(frame.width).toBeGreaterThan(700);
      for (const text of await plot.locator("text").all()) {
        const box = await text.boundingBox();
        if (box === null) throw new Error("a text is not shown");
        const isInside =
          box.x >= frame.x &&
          box.y >= frame.y - 1 &&
          box.x + box.width <= frame.x + frame.width &&
          box.y + box.height <= frame.y + frame.height + 1;
        expect(isInside, `${(await text.textContent()) ?? ""} is inside`).toBe(true);
      }
    }
  });

  it("draws a bar as long as its figure says", async () => {
    const width = async (name: string): Promise<number> => {
      const bar = page.locator("figure").first().locator("g", { hasText: name }).locator("rect").first();
      return Number(await bar.getAttribute("width"));
    };
    expect((await width("<your> filter")) / (await width("hopgate, route:"))).toBeCloseTo(30 / 8, 1);
  });

  it("warns of a noisy machine", async () => {
    expect(await page.getByRole("alert").textContent()).toBe("The machine is busy.");
  });
});
