import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { Errno } from "../../datapath/errors.js";
import {
  addAddress,
  createVeth,
  deleteLink,
  findLink,
  refusalErrno,
  replaceNeighbour,
  replaceRoute,
  setLinkAlias,
  setLinkUp,
} from "../../datapath/netlink-change.js";
import { withNamespaces } from "../support/netns.js";

test("a veth with addresses, routes and neighbours is made as ip shows it, and both ends go", () =>
  withNamespaces((lab) => {
    const near = lab.namespace("near");
    const far = lab.namespace("far");
    const netns = openSync(far.path, "r");
    lab.onCleanup(() => closeSync(netns));
    const ends = [
      { name: "left", mac: "02:00:00:00:00:01" },
      { name: "right", mac: "02:00:00:00:00:02" },
    ] as const;
    near.enter(() => {
      createVeth(...ends, netns, 1400);
      assert.throws(
        () => createVeth(...ends, netns, 1400),
        (error) => refusalErrno(error) === Errno.EEXIST,
      );
      const link = findLink("left");
      assert.ok(link);
      setLinkAlias(link.index, "whose it is");
      setLinkUp(link.index);
      for (const address of ["192.0.2.1", "2001:db8::1"]) {
        addAddress(link.index, address);
        addAddress(link.index, address);
      }
      for (const destination of ["192.0.2.2", "2001:db8::2"]) {
        replaceRoute({ destination, index: link.index });
        replaceRoute({ destination, index: link.index });
        replaceNeighbour(link.index, destination, ends[1].mac);
      }
      replaceRoute({ destination: { everythingOf: 4 }, index: link.index, gateway: "192.0.2.2" });
      const found = findLink("left");
      assert.deepEqual(
        [found?.mac, found?.mtu, found?.isUp, found?.alias, found?.kind],
        ["02:00:00:00:00:01", 1400, true, "whose it is", "veth"],
      );
      assert.equal(findLink("none"), undefined);
    });
    assert.match(near.run("ip", "address", "show", "left"), /192\.0\.2\.1\/32[^]*2001:db8::1\/128/);
    const routes = near.run("ip", "route");
    assert.match(routes, /^192\.0\.2\.2 dev left/m);
    assert.match(routes, /^default via 192\.0\.2\.2 dev left/m);
    assert.match(near.run("ip", "-6", "route"), /^2001:db8::2 dev left/m);
    const neighbours = near.run("ip", "neighbour", "show", "nud", "permanent");
    assert.match(neighbours, /192\.0\.2\.2 dev left lladdr 02:00:00:00:00:02/);
    assert.match(neighbours, /2001:db8::2 dev left lladdr 02:00:00:00:00:02/);
    assert.match(far.run("ip", "link", "show", "right"), /mtu 1400[^]*02:00:00:00:00:02/);
    near.enter(() => {
      assert.equal(deleteLink("left"), true);
      assert.equal(deleteLink("left"), false);
    });
    assert.doesNotMatch(far.run("ip", "link"), /right/);
  }));
