// Builds neurowidget/static from js/src: one script per widget, one style sheet, the host of static pages.
//
//   node js/build.mjs            write neurowidget/static
//   node js/build.mjs --watch    and again after every change
//   node js/build.mjs --gallery [widget ...]
//                                write build/gallery.html instead: every fixture and many made-up states on one page
//
// The output is the same bytes on every machine, so that CI can compare it with what is committed.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";
import * as esbuild from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SRC = join(ROOT, "js", "src");
const OUT = join(ROOT, "neurowidget", "static");
const KB = 1000;
// What every instance of a widget carries, live and in a saved notebook: the script deflated, as base64.
const CARRIED_LIMIT = 60 * KB;
const CARRIED_LIMITS = { "neuron-explorer.js": 90 * KB };
const PAGE_LIMIT = 300 * KB;
const COMMITTED_LIMIT = 800 * KB;

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  write: false,
  format: "iife",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  // Not tsconfig.json: what is built depends on the sources alone.
  tsconfigRaw: { compilerOptions: { alwaysStrict: true } },
  logLevel: "warning",
};

const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const listed = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
const posix = (path) => relative(ROOT, path).split(sep).join("/");

/** One hash over the sources; tests/test_repository.py computes the same without Node. */
function sourceHash() {
  const files = [...listed(SRC), join(ROOT, "js", "build.mjs"), join(ROOT, "package-lock.json")];
  const hash = createHash("sha256");
  const byPath = new Map(files.map((file) => [posix(file), file]));
  for (const path of [...byPath.keys()].sort(byCodePoint)) {
    const content = readFileSync(byPath.get(path), "utf8").replaceAll("\r\n", "\n");
    hash.update(`${path}\0${content}\0`);
  }
  return hash.digest("hex");
}

const byCodePoint = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** base.css, then the views' sheets in the order of their names. */
function styles() {
  const names = readdirSync(join(SRC, "styles")).filter((name) => name.endsWith(".css"));
  names.sort((a, b) => (a === "base.css" ? -1 : b === "base.css" ? 1 : byCodePoint(a, b)));
  return names.map((name) => readFileSync(join(SRC, "styles", name), "utf8")).join("\n");
}

async function bundle(entry, globalName, options = {}) {
  const result = await esbuild.build({ ...COMMON, entryPoints: [entry], globalName, ...options });
  return result.outputFiles[0].contents;
}

const sheet = async () =>
  (await esbuild.transform(styles(), { loader: "css", minify: true, target: "es2022" })).code;
const stems = () =>
  readdirSync(join(SRC, "widgets"))
    .filter((name) => name.endsWith(".ts"))
    .map((name) => basename(name, ".ts"))
    .sort(byCodePoint);

async function build() {
  const files = new Map();
  for (const stem of stems()) files.set(`${stem}.js`, await bundle(`js/src/widgets/${stem}.ts`, "NW"));
  files.set("static-host.js", await bundle("js/src/hosts/static-host.ts", "NWHost"));
  files.set("neurowidget.css", Buffer.from(await sheet()));

  const entries = [...files].sort(([a], [b]) => byCodePoint(a, b));
  check(entries);
  const record = {
    source_sha256: sourceHash(),
    esbuild: esbuild.version,
    files: Object.fromEntries(
      entries.map(([name, data]) => [name, { bytes: data.length, sha256: sha256(data) }]),
    ),
  };
  mkdirSync(OUT, { recursive: true });
  for (const old of readdirSync(OUT)) {
    if (/\.(js|css)$/.test(old) && !files.has(old)) rmSync(join(OUT, old));
  }
  for (const [name, data] of entries) writeFileSync(join(OUT, name), data);
  writeFileSync(join(OUT, "build.json"), `${JSON.stringify(record, null, 2)}\n`);
  const size = (bytes) => `${(bytes / KB).toFixed(1)} kB`;
  console.log(
    entries.map(([name, data]) => `${name} ${size(data.length)}, carried ${size(carried(data))}`).join("; "),
  );
}

/** How long `notebook_module` of neurowidget/export/static_files.py makes a script, but for its few lines around it. */
const carried = (data) => deflateSync(data, { level: 9 }).toString("base64").length;

function check(entries) {
  const problems = [];
  const total = entries.reduce((sum, [, data]) => sum + data.length, 0);
  for (const [name, data] of entries) {
    const [bytes, limit] = [carried(data), CARRIED_LIMITS[name] ?? CARRIED_LIMIT];
    if (bytes > limit) problems.push(`${name} is carried as ${bytes} bytes, the limit is ${limit}`);
  }
  if (total > PAGE_LIMIT)
    problems.push(`all files have ${total} bytes, the limit of a page is ${PAGE_LIMIT}`);
  if (total > COMMITTED_LIMIT) problems.push(`${total} bytes to commit, the limit is ${COMMITTED_LIMIT}`);
  if (problems.length) throw new Error(`The build is too large: ${problems.join("; ")}.`);
}

async function gallery(chosen) {
  const scripts = [];
  for (const stem of chosen.length ? chosen : stems()) {
    const code = Buffer.from(await bundle(`js/src/widgets/${stem}.ts`, "NW")).toString("utf8");
    scripts.push(`${code}NWViews[${JSON.stringify(stem)}]=NW.default;`);
  }
  const script = Buffer.from(await bundle("js/gallery/gallery.ts", "NWGallery")).toString("utf8");
  const folder = join(ROOT, "js", "fixtures");
  const fixtures = Object.fromEntries(
    readdirSync(folder)
      .filter((name) => name.endsWith(".json"))
      .sort(byCodePoint)
      .map((name) => [basename(name, ".json"), JSON.parse(readFileSync(join(folder, name), "utf8"))]),
  );
  const data = JSON.stringify(fixtures).replaceAll("<", "\\u003c");
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>neurowidget gallery</title>
<style>${await sheet()}</style><body><script type="application/json" id="fixtures">${data}</script>
<script>var NWViews={};${scripts.join("\n")}</script><script>${script}</script></body></html>\n`;
  mkdirSync(join(ROOT, "build"), { recursive: true });
  writeFileSync(join(ROOT, "build", "gallery.html"), page);
  console.log(`build/gallery.html ${(page.length / KB).toFixed(0)} kB`);
}

const args = process.argv.slice(2);
const run = args[0] === "--gallery" ? () => gallery(args.slice(1)) : build;

await run().catch((error) => {
  console.error(error.message);
  if (!process.argv.includes("--watch")) process.exit(1);
});
if (process.argv.includes("--watch")) {
  let timer;
  watch(SRC, { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(() => run().catch((error) => console.error(error.message)), 100);
  });
}
