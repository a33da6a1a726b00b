import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { u32, u64 } from "../../datapath/codec.js";
import { listInterfaces } from "../../datapath/netlink.js";
import { addAddress, listAddresses } from "../../datapath/netlink-addresses.js";
import { createVeth, deleteLink } from "../../datapath/netlink-links.js";
import { listNeighbours } from "../../datapath/netlink-neighbours.js";
import { deleteRoute, listRoutes, replaceRoute } from "../../datapath/netlink-routes.js";
import { watchInterfaces } from "../../datapath/netlink-watch.js";
import { setGro } from "../../datapath/ethtool.js";
import { setSysctl } from "../../datapath/sysctl.js";
import { listLinks, listMaps, listPrograms } from "../../datapath/kernel-objects.js";
import { BpfMap } from "../../datapath/maps.js";
import { BpfObject } from "../../datapath/object.js";
import { Program } from "../../datapath/programs.js";
import { RingBuffer } from "../../datapath/ring-buffer.js";
import { attachXdp } from "../../datapath/xdp-attach.js";
import { withNamespaces } from "../support/netns.js";
import { objectPath } from "../support/objects.js";

const descriptors = () => readdirSync("/proc/self/fd").length;

test("no call leaves a descriptor behind, whether it succeeds or fails", async () => {
  await withNamespaces(async (lab) => {
    const node = lab.namespace("node");
    const other = lab.namespace("other");
    const [index] = lab.veth({ namespace: node, name: "eth0" }, { namespace: other, name: "eth0" });
    const folder = lab.pinFolder();
    const round = async () => {
      const object = BpfObject.open(objectPath("tables-fixture"));
      await object.load();
      const program = object.takeProgram("touch");
      assert.throws(() => new BpfMap(object.takeMap("table"), u32, u32));
      assert.throws(() => new RingBuffer(object.takeMap("table")));
      program.pin(`${folder}/program`);
      assert.throws(() => BpfMap.openPinned(`${folder}/program`, u32, u64));
      Program.openPinned(`${folder}/program`).close();
      node.run("rm", `${folder}/program`);
      object.close();
      node.enter(() => {
        listInterfaces();
        const pod = { name: "pod0", netns: other.path };
        const made = createVeth({ name: "slc0", mtu: 1500, isUp: true, peer: pod });
        assert.throws(() => createVeth({ name: "slc1", mtu: 1500, peer: pod }));
        assert.throws(() => createVeth({ name: "slc1", mtu: -1, peer: pod }));
        addAddress(made.index, { address: "192.0.2.1", length: 32 });
        assert.throws(() => addAddress(made.index, { address: "192.0.2.1", length: 32 }));
        replaceRoute({ destination: "10.0.0.1/32", device: made.index });
        deleteRoute({ destination: "10.0.0.1/32" });
        assert.equal(deleteRoute({ destination: "10.0.0.1/32" }), false);
        listAddresses();
        listRoutes();
        listNeighbours();
        setGro("slc0", true);
        setSysctl("net.ipv4.conf.slc0.rp_filter", 0);
        deleteLink("slc0");
        assert.throws(() => setGro("slc0", true));
        watchInterfaces(() => undefined).close();
        const { link } = attachXdp(program, index, { mode: "native" });
        assert.throws(() => attachXdp(program, index, { mode: "generic" }));
        link.close();
      });
      listMaps();
      listPrograms();
      listLinks();
      program.close();
      const refused = BpfObject.open(objectPath("refused-fixture"));
      refused.program("reads_blindly").setAutoload(false);
      await refused.load();
      refused.close();
    };
    // The first round opens what libbpf and the event loop keep for good.
    await round();
    const before = descriptors();
    for (let count = 0; count < 5; count++) await round();
    assert.equal(descriptors(), before);
  });
});
