// Builds the two widgets into workbench/views/static, each one self-contained ES module, and collects the licences of what is inside them.
// Run by `make js` (npm ci && npm run build). The result is committed: users need no Node.
import { build, transform } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { createHash } from "node:crypto";
import path from "node:path";

const out = path.resolve("../workbench/views/static");

const styles = {   // .css files become minified strings; images that only Leaflet's unused controls would load are left out
  name: "styles",
  setup(b) {
    b.onLoad({ filter: /\.css$/ }, async ({ path: file }) => {
      const text = (await readFile(file, "utf8")).replace(/[^{}]*\{[^{}]*url\([^{}]*\}/g, "");
      const { code } = await transform(text, { loader: "css", minify: true });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

const result = await build({
  entryPoints: { webmap: "src/webmap.js", linkchart: "src/linkchart.js" },
  outdir: out, bundle: true, minify: true, format: "esm", target: "es2021", charset: "utf8", legalComments: "none", metafile: true, plugins: [styles],
  banner: { js: "/* Part of the workbench. Contains third-party code; licences in LICENSES.txt beside this file. Built from js/ by `make js`. */" },
});

const packages = new Map();
for (const [file, { inputs }] of Object.entries(result.metafile.outputs))
  for (const input of Object.keys(inputs)) {
    const name = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1];
    if (name) packages.set(name, new Set([...(packages.get(name) ?? []), path.basename(file)]));
  }

const parts = ["Third-party code inside the built files of this folder, with its licences.\nBuilt from js/package-lock.json by `make js`.\n"];
for (const name of [...packages.keys()].sort()) {
  const folder = path.join("node_modules", name);
  const about = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  const file = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"].map(f => path.join(folder, f)).find(existsSync);
  if (!file) throw new Error(`${name} has no licence file`);
  parts.push(`${"=".repeat(78)}\n${name} ${about.version} (${about.license}) in ${[...packages.get(name)].sort().join(", ")}\n${"=".repeat(78)}\n\n${(await readFile(file, "utf8")).trim()}\n`);
}
await writeFile(path.join(out, "LICENSES.txt"), parts.join("\n"));
const sums = [];   // tests/test_supply.py looks whether the committed files are these
for (const name of ["linkchart.js", "webmap.js", "LICENSES.txt"])
  sums.push(`${createHash("sha256").update(await readFile(path.join(out, name))).digest("hex")}  ${name}\n`);
await writeFile(path.join(out, "SHA256SUMS"), sums.join(""));
for (const [file, { bytes }] of Object.entries(result.metafile.outputs)) console.log(path.basename(file), bytes, "bytes");
