import assert from "node:assert/strict";
import { test } from "node:test";
import { ifIndex } from "../../datapath/handles.js";
import {
  addNeighbour,
  deleteNeighbour,
  listNeighbours,
  replaceNeighbour,
} from "../../datapath/netlink-neighbours.js";
import { ipObject, pick } from "../support/iproute.js";
import { localWire } from "../support/local-wire.js";
import { withNamespaces } from "../support/netns.js";

const mac = "ee:ee:ee:ee:ee:ee";
const addresses = ["169.254.1.1", "fe80::1"] as const;

test("permanent neighbours of both families are written as ip shows them", async () => {
  await withNamespaces((lab) => {
    const node = lab.namespace("node");
    node.enter(() => {
      const { index: device } = localWire();
      const other = node.indexOf("b");
      for (const address of addresses) {
        addNeighbour({ device, address, mac: "02:00:00:00:00:01", state: "permanent" });
        assert.throws(() => addNeighbour({ device, address, mac, state: "permanent" }), /EEXIST/);
        replaceNeighbour({ device, address, mac, state: "permanent" });
        replaceNeighbour({ device: other, address, mac, state: "stale" });
        const shown = ipObject(node, "neigh", "show", address, "dev", "a");
        assert.deepEqual(pick(shown, "dst", "lladdr", "state"), {
          dst: address,
          lladdr: mac,
          state: ["PERMANENT"],
        });
      }
      const known = (entries: ReturnType<typeof listNeighbours>) =>
        entries.filter(({ address }) => addresses.some((own) => own === address));
      const state = "permanent" as const;
      assert.deepEqual(known(listNeighbours(device)), [
        { device, address: "169.254.1.1", mac, state },
        { device, address: "fe80::1", mac, state },
      ]);
      assert.equal(known(listNeighbours()).length, 4);
      for (const address of addresses) {
        assert.equal(deleteNeighbour({ device, address }), true);
        assert.equal(deleteNeighbour({ device, address }), false);
      }
      assert.deepEqual(known(listNeighbours(device)), []);
    });
  });
});

test("a neighbour that makes no sense, or on no interface, is refused", () => {
  const device = ifIndex(0x7fff_fff0);
  const state = "permanent" as const;
  assert.throws(() => replaceNeighbour({ device, address: "192.0.2.1", mac: "ee", state }), {
    code: "SLUICE_BAD_VALUE",
    message: /"ee" is no MAC address/,
  });
  assert.throws(() => replaceNeighbour({ device, address: "192.0.2.1", mac, state }), {
    code: "SLUICE_NETLINK_FAILED",
    message: /ENODEV/,
  });
  assert.equal(deleteNeighbour({ device, address: "192.0.2.1" }), false);
});
