// Keeps the files of Swagger UI in the server the same as those that package-lock.json names.
//
//   node swagger-ui.mjs         compares them, and exits with code 1 if they differ
//   node swagger-ui.mjs write   takes them from node_modules
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";

const NPM = new URL("node_modules/swagger-ui-dist/", import.meta.url);
const SERVER = new URL("../../crates/server/swagger-ui/", import.meta.url);
// A browser needs the first two. The licences go wherever these go.
const COMPRESSED = ["swagger-ui-bundle.js", "swagger-ui.css"];
const PLAIN = ["LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"];

const { version } = JSON.parse(readFileSync(new URL("package.json", NPM)));
const wanted = new Map([
  ...COMPRESSED.map((name) => [`${name}.gz`, { bytes: readFileSync(new URL(name, NPM)), pack: (bytes) => gzipSync(bytes, { level: 9 }), unpack: gunzipSync }]),
  ...PLAIN.map((name) => [name, { bytes: readFileSync(new URL(name, NPM)) }]),
  ["VERSION", { bytes: Buffer.from(`swagger-ui-dist ${version}\n`) }],
]);

if (process.argv[2] === "write") {
  mkdirSync(SERVER, { recursive: true });
  for (const [name, { bytes, pack = (same) => same }] of wanted) writeFileSync(new URL(name, SERVER), pack(bytes));
} else {
  const isOld = ([name, { bytes, unpack = (same) => same }]) => {
    try {
      return !unpack(readFileSync(new URL(name, SERVER))).equals(bytes);
    } catch {
      return true;
    }
  };
  const old = [...wanted].filter(isOld).map(([name]) => name);
  if (old.length) {
    console.error(`crates/server/swagger-ui is not swagger-ui-dist ${version}: ${old.join(", ")}; run: make swagger-ui`);
    process.exit(1);
  }
}
