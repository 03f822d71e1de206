// Bundles the page and its libraries into one script and one sheet of styles, in the folder given: node build.mjs OUT
import { build } from "esbuild";

await build({
  entryPoints: { page: "src/main.tsx", script: "src/script.ts" },
  outdir: process.argv[2] ?? "../built",
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "sheetgpt",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "eof",
  charset: "utf8",
});
