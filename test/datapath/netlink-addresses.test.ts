import assert from "node:assert/strict";
import { test } from "node:test";
import { ifIndex } from "../../datapath/handles.js";
import {
  addAddress,
  deleteAddress,
  listAddresses,
  replaceAddress,
} from "../../datapath/netlink-addresses.js";
import { createVeth } from "../../datapath/netlink-links.js";
import { ipObject, pick } from "../support/iproute.js";
import { localWire } from "../support/local-wire.js";
import type { Namespace } from "../support/netns.js";
import { withNamespaces } from "../support/netns.js";

const shown = (node: Namespace, name: string) =>
  (ipObject(node, "address", "show", name).addr_info as Record<string, unknown>[])
    .filter((address) => address.scope !== "link" || address.family === "inet")
    .map((address) => pick(address, "local", "prefixlen", "scope", "nodad", "noprefixroute"));

test("addresses of both families are added, listed and deleted as ip shows them", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    const { index } = node.enter(() => localWire());
    const own = () => listAddresses(index).filter(({ address }) => !address.startsWith("fe80"));
    node.enter(() => {
      addAddress(index, { address: "192.0.2.1", length: 32 });
      // Listed first, as the kernel orders them by scope.
      addAddress(index, { address: "169.254.1.1", length: 24, scope: "link", noPrefixRoute: true });
      addAddress(index, { address: "2001:db8::1", length: 128, nodad: true });
    });
    const plain = { nodad: undefined, noprefixroute: undefined };
    assert.deepEqual(shown(node, "a"), [
      {
        local: "169.254.1.1",
        prefixlen: 24,
        scope: "link",
        nodad: undefined,
        noprefixroute: true,
      },
      { local: "192.0.2.1", prefixlen: 32, scope: "global", ...plain },
      {
        local: "2001:db8::1",
        prefixlen: 128,
        scope: "global",
        nodad: true,
        noprefixroute: undefined,
      },
    ]);
    node.enter(() => {
      assert.deepEqual(own(), [
        { index, family: 4, address: "169.254.1.1", prefixLength: 24, scope: "link" },
        { index, family: 4, address: "192.0.2.1", prefixLength: 32, scope: "global" },
        { index, family: 6, address: "2001:db8::1", prefixLength: 128, scope: "global" },
      ]);
      // Of this interface only: not 127.0.0.1.
      assert.equal(listAddresses().length > listAddresses(index).length, true);
      assert.equal(deleteAddress(index, { address: "169.254.1.1", length: 24 }), true);
      assert.equal(deleteAddress(index, { address: "2001:db8::1", length: 128 }), true);
      assert.deepEqual(
        own().map(({ address }) => address),
        ["192.0.2.1"],
      );
    });
  });
});

test("an address that is there is refused by add and taken by replace; deleting twice is no error", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      const { index } = createVeth({ name: "a", mtu: 1500, peer: { name: "b" } });
      for (const address of ["192.0.2.1", "2001:db8::1"]) {
        const wanted = { address, length: address.includes(":") ? 128 : 32 };
        addAddress(index, wanted);
        assert.throws(() => addAddress(index, wanted), {
          code: "SLUICE_NETLINK_FAILED",
          message: /EEXIST/,
        });
        replaceAddress(index, wanted);
        assert.equal(listAddresses(index).length, 1);
        assert.equal(deleteAddress(index, wanted), true);
        assert.equal(deleteAddress(index, wanted), false);
      }
      const gone = ifIndex(9999);
      assert.deepEqual(listAddresses(gone), []);
      assert.equal(deleteAddress(gone, { address: "192.0.2.1", length: 32 }), false);
      assert.throws(() => addAddress(gone, { address: "192.0.2.1", length: 32 }), /ENODEV/);
    });
  });
});

test("the kernel's own words are in the error", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      const { index } = createVeth({ name: "a", mtu: 1500, peer: { name: "b" } });
      assert.throws(() => addAddress(index, { address: "ff02::1", length: 128 }), {
        code: "SLUICE_NETLINK_FAILED",
        message: /^cannot add address ff02::1\/128 to interface \d+: .*multicast.* \(E[A-Z]+\)/i,
      });
    });
  });
});

test("what is no address or has no such prefix is refused before the kernel is asked", () => {
  const index = ifIndex(1);
  for (const address of ["", "10.1", "192.0.2.1/24", "fe80::1%lo", "web"]) {
    assert.throws(() => addAddress(index, { address, length: 32 }), {
      code: "SLUICE_BAD_VALUE",
      message: /is no IP address/,
    });
  }
  assert.throws(() => addAddress(index, { address: "192.0.2.1", length: 33 }), {
    code: "SLUICE_BAD_VALUE",
    message: /prefix length 33 is no whole number from 0 to 32/,
  });
});
