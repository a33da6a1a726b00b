import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { u32, u64 } from "../../datapath/codec.js";
import { MapType } from "../../datapath/map-create.js";
import { BpfMap } from "../../datapath/maps.js";
import { withNamespaces } from "../support/netns.js";
import { objectPath } from "../support/objects.js";

const library = new URL("../../datapath/index.js", import.meta.url).href;

/** Runs statements as root without these capabilities; gives back what they print. */
function runWithout(capabilities: readonly string[], ...statements: readonly string[]): string {
  const dropped = capabilities.map((name) => `-${name}`).join(",");
  const script = [
    `import * as d from ${JSON.stringify(library)};`,
    "const codeOf = (e) => console.log(`${e.code}: ${e.message}`);",
    ...statements,
  ].join("\n");
  const bounding = ["--bounding-set", dropped, "--inh-caps", dropped];
  const args = [...bounding, process.execPath, "--input-type=module", "--eval", script];
  return execFileSync("setpriv", args, { encoding: "utf8" });
}

const noBpf = ["bpf", "sys_admin", "perfmon", "net_admin"];

test("a load without capabilities names those that are missing", () => {
  const path = JSON.stringify(objectPath("drop-tcp"));
  const said = runWithout(noBpf, `await d.BpfObject.open(${path}).load().catch(codeOf);`);
  assert.match(said, /^SLUICE_NO_CAPABILITY: cannot load drop-tcp: this process lacks/);
  assert.match(said, /CAP_BPF and CAP_NET_ADMIN/);
  assert.match(said, /Run as root, or with/);
});

test("a map and a pin without capabilities are refused the same way", async () => {
  await withNamespaces((lab) => {
    const path = `${lab.pinFolder()}/map`;
    const layout = { name: "m", type: MapType.hash, keySize: 4, valueSize: 8, maxEntries: 1 };
    const map = BpfMap.create(layout, u32, u64);
    map.pin(path);
    map.close();
    const said = runWithout(
      noBpf,
      `try { d.createMap(${JSON.stringify(layout)}); } catch (e) { codeOf(e); }`,
      `try { d.openPin(${JSON.stringify(path)}, "map"); } catch (e) { codeOf(e); }`,
    );
    assert.match(said, /^SLUICE_NO_CAPABILITY: cannot create map m: .*lacks CAP_BPF/m);
  });
});

test("an attachment without CAP_NET_ADMIN names the interface and the capability", () => {
  const path = JSON.stringify(objectPath("drop-tcp"));
  const said = runWithout(
    ["net_admin", "sys_admin"],
    `const o = d.BpfObject.open(${path});`,
    "await o.load().catch(codeOf);",
  );
  assert.match(said, /^SLUICE_NO_CAPABILITY: .*lacks CAP_NET_ADMIN/);
});

test("without capabilities a probe says unknown and not no", () => {
  const said = runWithout(
    noBpf,
    "const report = d.probeKernel();",
    "console.log(report.capabilities.size, ...new Set(report.features.map((f) => f.answer)));",
  );
  assert.equal(said.trim(), "0 unknown");
});

test("a namespace cannot be entered without CAP_SYS_ADMIN, and that is said", async () => {
  await withNamespaces((lab) => {
    const { path } = lab.namespace("node");
    const said = runWithout(
      ["sys_admin"],
      `try { d.withNetns(${JSON.stringify(path)}, () => {}); } catch (e) { codeOf(e); }`,
    );
    assert.match(said, /^SLUICE_NO_CAPABILITY: cannot enter network namespace .*CAP_SYS_ADMIN/);
  });
});

test("interfaces and their drivers cannot be changed without CAP_NET_ADMIN, and that is said", async () => {
  await withNamespaces((lab) => {
    const { path } = lab.namespace("node");
    const said = runWithout(
      ["net_admin"],
      "const attempt = (work) => { try { work(); } catch (e) { codeOf(e); } };",
      `d.withNetns(${JSON.stringify(path)}, () => {`,
      "  attempt(() => d.createVeth({ name: 'a', mtu: 1500, peer: { name: 'b' } }));",
      "  attempt(() => d.replaceRoute({ destination: '10.0.0.0/8', device: 1 }));",
      "  attempt(() => d.setGro('lo', false));",
      "  console.log(d.linkByName('lo').index, d.listRoutes().length);",
      "});",
    );
    const lacks = "this process lacks CAP_NET_ADMIN";
    assert.match(
      said,
      new RegExp(`^SLUICE_NO_CAPABILITY: cannot create veth pair .*${lacks}`, "m"),
    );
    assert.match(said, new RegExp(`^SLUICE_NO_CAPABILITY: cannot add route .*${lacks}`, "m"));
    assert.match(said, new RegExp(`^SLUICE_NO_CAPABILITY: cannot .* driver of lo: ${lacks}`, "m"));
    assert.match(said, /^1 0$/m);
  });
});
