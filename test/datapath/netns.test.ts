import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { listInterfaces } from "../../datapath/netlink.js";
import { netnsPath, withNetns } from "../../datapath/netns.js";
import { withNamespaces } from "../support/netns.js";

const here = () => readlinkSync("/proc/thread-self/ns/net");

test("work runs inside by path or by descriptor, and the thread comes back", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const home = here();
    const inside = withNetns(node.path, here);
    assert.notEqual(inside, home);
    assert.equal(here(), home);
    const fd = openSync(node.path, "r");
    assert.equal(withNetns(fd, here), inside);
    closeSync(fd);
    assert.deepEqual(
      withNetns(node.path, () => listInterfaces().map(({ name }) => name)),
      ["lo"],
    );
  });
});

test("the thread comes back also when the work throws, and from a namespace within one", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const pod = lab.namespace("pod");
    const home = here();
    assert.throws(
      () =>
        node.enter(() => {
          throw new Error("failed inside");
        }),
      /failed inside/,
    );
    assert.equal(here(), home);
    const [before, within, after] = node.enter(() => [here(), pod.enter(here), here()]);
    assert.equal(before, after);
    assert.notEqual(before, within);
    assert.equal(here(), home);
  });
});

test("asynchronous work is refused", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    assert.throws(() => node.enter(async () => here()), {
      code: "SLUICE_NETNS_FAILED",
      message: /asynchronous/,
    });
  });
});

test("a namespace that is not there is named", () => {
  assert.throws(() => withNetns(netnsPath("slt-none"), here), {
    code: "SLUICE_NETNS_FAILED",
    message: /no network namespace \/run\/netns\/slt-none/,
  });
  assert.throws(() => withNetns("/etc/hostname", here), { code: "SLUICE_NETNS_FAILED" });
});

test("the thread pool of a process that starts inside a namespace still is at home", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const module = new URL("../../datapath/netns.js", import.meta.url).href;
    const script = `
      import { readlink, readlinkSync } from "node:fs";
      import { withNetns } from ${JSON.stringify(module)};
      const path = "/proc/thread-self/ns/net";
      withNetns(${JSON.stringify(node.path)}, () => {
        readlink(path, (error, link) => console.log(link === readlinkSync(path)));
      });`;
    const args = ["--input-type=module", "--eval", script];
    assert.equal(execFileSync(process.execPath, args, { encoding: "utf8" }).trim(), "true");
  });
});
