import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { listPrograms } from "../../datapath/kernel-objects.js";
import { queryXdp } from "../../datapath/xdp-attach.js";
import { withNamespaces } from "../support/netns.js";
import { objectPath } from "../support/objects.js";

const objects = ["drop-tcp", "protocol-counter", "rewrite-tx"] as const;

for (const name of objects) {
  const program = name.replaceAll("-", "_");

  test(`iproute2 attaches and detaches ${name}`, async () => {
    await withNamespaces((lab) => {
      const node = lab.namespace("node");
      const client = lab.namespace("client");
      const [index] = lab.veth(
        { namespace: node, name: "eth0" },
        { namespace: client, name: "eth0" },
      );
      const set = (...words: string[]) => node.run("ip", "link", "set", "dev", "eth0", ...words);
      set("xdp", "obj", objectPath(name), "sec", "xdp");
      const id = node.enter(() => queryXdp(index)).native;
      const found = listPrograms().find((info) => info.id === id);
      // The kernel keeps 15 bytes of a name.
      assert.equal(found?.name, program.slice(0, 15));
      assert.match(
        node.run("ip", "-d", "link", "show", "eth0"),
        new RegExp(`xdp.* id ${id} `, "s"),
      );
      set("xdp", "off");
      set("xdpgeneric", "obj", objectPath(name), "sec", "xdp");
      assert.ok(node.enter(() => queryXdp(index)).generic !== undefined);
      set("xdpgeneric", "off");
      assert.equal(node.enter(() => queryXdp(index)).generic, undefined);
    });
  });

  test(`bpftool loads ${name}`, async () => {
    await withNamespaces((lab) => {
      const path = `${lab.pinFolder()}/program`;
      execFileSync("bpftool", ["prog", "load", objectPath(name), path]);
      const shown = execFileSync("bpftool", ["-j", "prog", "show", "pinned", path]).toString();
      const { name: loaded, type } = JSON.parse(shown) as { name: string; type: string };
      assert.deepEqual([loaded, type], [program, "xdp"]);
    });
  });
}
