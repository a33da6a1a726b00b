import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createVeth } from "../../datapath/netlink-links.js";
import { getSysctl, setSysctl } from "../../datapath/sysctl.js";
import { withNamespaces } from "../support/netns.js";

test("parameters are set in the namespace of the thread only, also of an interface with a dot", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const other = lab.namespace("other");
    node.enter(() => {
      createVeth({ name: "a.100", mtu: 1500, peer: { name: "b" } });
      setSysctl("net.ipv4.ip_forward", 1);
      setSysctl("net.ipv4.conf.a/100.proxy_arp", "1");
      setSysctl("net.ipv6.conf.a/100.accept_dad", 0);
      assert.equal(getSysctl("net.ipv4.conf.a/100.proxy_arp"), "1");
    });
    const read = (path: string) => node.run("cat", `/proc/sys/net/${path}`).trim();
    assert.equal(read("ipv4/ip_forward"), "1");
    assert.equal(read("ipv4/conf/a.100/proxy_arp"), "1");
    assert.equal(read("ipv6/conf/a.100/accept_dad"), "0");
    assert.equal(
      other.enter(() => getSysctl("net.ipv4.ip_forward")),
      "0",
    );
  });
});

test("what is no network parameter is refused, and nothing is written elsewhere", () => {
  const before = readFileSync("/proc/sys/kernel/panic", "utf8");
  for (const name of [
    "kernel.panic",
    "net",
    "net.",
    "net..ipv4.ip_forward",
    "net.ipv4/../../kernel.panic",
    "net.//.//.kernel.panic",
    "/proc/sys/kernel/panic",
    "",
  ]) {
    assert.throws(() => setSysctl(name, before), { code: "SLUICE_BAD_VALUE" }, name);
  }
  assert.equal(readFileSync("/proc/sys/kernel/panic", "utf8"), before);
  assert.throws(() => setSysctl("net.ipv4.conf.slt-none.rp_filter", 0), {
    code: "SLUICE_SYSCTL_FAILED",
    message: /cannot set net\.ipv4\.conf\.slt-none\.rp_filter to 0: there is no such parameter/,
  });
});

test("a value that the kernel refuses is named", async () => {
  await withNamespaces((lab) => {
    lab.namespace("node").enter(() =>
      assert.throws(() => setSysctl("net.ipv4.ip_forward", "maybe"), {
        code: "SLUICE_SYSCTL_FAILED",
        message: /cannot set net\.ipv4\.ip_forward to maybe: EINVAL/,
      }),
    );
  });
});
