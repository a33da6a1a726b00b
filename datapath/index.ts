/**
 * The kernel side of Sluice as a library: load compiled BPF objects, read and write their maps,
 * attach, pin and test their programs. Needs Linux 5.15 or later and libbpf.so.1 (1.1 or later).
 *
 * @packageDocumentation
 */
export type { Codec, GlobalLayout, MapLayout, StructCodec } from "./codec.js";
export { arrayOf, bool, bytes, s8, s16, s32, s64, u8, u16, u32, u64 } from "./codec.js";
export type { DatapathErrorCode, SluiceErrorCode, SluiceErrorOptions } from "./errors.js";
export { SluiceError, SystemError } from "./errors.js";
export type {
  BpfFd,
  IfIndex,
  LinkFd,
  LinkId,
  MapFd,
  MapId,
  ProgramFd,
  ProgramId,
} from "./handles.js";
export { closeFd, ifIndex } from "./handles.js";
export type { GlobalValue } from "./globals.js";
export type { LoadOptions, OpenOptions } from "./object.js";
export { BpfObject } from "./object.js";
export type { ObjectMap, ObjectProgram } from "./object-parts.js";
export { Program } from "./programs.js";
export type { LinkInfo, MapInfo, ProgramInfo } from "./kernel-info.js";
export { linkInfo, LinkType, mapInfo, programInfo } from "./kernel-info.js";
export { countRuns, listLinks, listMaps, listPrograms, mapFdById } from "./kernel-objects.js";
export type { ExpectedMap } from "./map-layout.js";
export { checkMap, mapDifferences } from "./map-layout.js";
export type { MapField, MapFields } from "./map-fields.js";
export { mapFields } from "./map-fields.js";
export type { MapSlice } from "./map-batch.js";
export { createMap, MapFlag, MapType } from "./map-create.js";
export type { UpdateMode } from "./maps.js";
export { BpfMap } from "./maps.js";
export { possibleCpus } from "./per-cpu.js";
export { PerCpuMap, sumCounters } from "./per-cpu-map.js";
export { MappedArray } from "./mmap.js";
export {
  createPinFolder,
  defaultBpffs,
  isBpffs,
  listPins,
  openPin,
  requireBpffs,
  unpin,
} from "./pin.js";
export { AttachType, Link } from "./links.js";
export { attachCgroup, findCgroup2 } from "./cgroup-attach.js";
export { attachRawTracepoint } from "./tracepoint-attach.js";
export type { AttachXdpOptions, XdpAttachment, XdpMode, XdpState } from "./xdp-attach.js";
export { attachXdp, describeXdp, findXdpLink, queryXdp } from "./xdp-attach.js";
export type { ClsactFilter, TcAttachment, TcDirection, TcxPlace } from "./tc-attach.js";
export {
  addClsact,
  attachClsact,
  attachTc,
  attachTcx,
  attachTcxAside,
  detachClsact,
  queryClsact,
  queryTcx,
} from "./tc-attach.js";
export { loadNextProgram } from "./next-program.js";
export type { LiveRunOptions, TestRunOptions, TestRunResult } from "./test-run.js";
export {
  TcAction,
  testRun,
  testRunAsync,
  testRunLive,
  testRunLiveAsync,
  XdpAction,
} from "./test-run.js";
export type { XdpContext } from "./xdp-context.js";
export type { InterfaceXdp, NetworkInterface } from "./netlink.js";
export {
  InterfaceFlag,
  interfaceByIndex,
  interfaceByName,
  interfaceByName as linkByName,
  listInterfaces,
} from "./netlink.js";
export type { CreateVethOptions, LinkChange, VethEndOptions } from "./netlink-links.js";
export {
  changeLink,
  createVeth,
  deleteLink,
  deleteLinkAside,
  setLinkDown,
  setLinkUp,
} from "./netlink-links.js";
export type { CreateVxlanOptions, DontFragment, VxlanDevice } from "./netlink-vxlan.js";
export { createVxlan, readVxlan } from "./netlink-vxlan.js";
export type { InterfaceAddress, NewAddress, ScopeName } from "./netlink-addresses.js";
export {
  addAddress,
  deleteAddress,
  listAddresses,
  replaceAddress,
} from "./netlink-addresses.js";
export type {
  DefaultRoute,
  NewRoute,
  Route,
  RouteFilter,
  RouteLookup,
  RouteType,
} from "./netlink-routes.js";
export {
  addRoute,
  deleteRoute,
  listDefaultRoutes,
  listRoutes,
  lookUpRoute,
  replaceRoute,
} from "./netlink-routes.js";
export type { RoutingRule } from "./netlink-rules.js";
export { addRule, deleteRule, listRules } from "./netlink-rules.js";
export type { NeighbourEntry, NeighbourStateName, NewNeighbour } from "./netlink-neighbours.js";
export {
  addNeighbour,
  deleteNeighbour,
  listNeighbours,
  replaceNeighbour,
} from "./netlink-neighbours.js";
export type { FdbEntry } from "./netlink-fdb.js";
export {
  appendFdbEntry,
  deleteFdbEntry,
  floodMac,
  listFdb,
  replaceFdbEntry,
} from "./netlink-fdb.js";
export { hasGro, setGro } from "./ethtool.js";
export { getSysctl, setSysctl } from "./sysctl.js";
export type { InterfaceEvent, InterfaceWatch, RoutingEvent } from "./netlink-watch.js";
export { watchInterfaces, watchRouting } from "./netlink-watch.js";
export { netnsPath, withNetns } from "./netns.js";
export type { CapabilityName } from "./capabilities.js";
export { effectiveCapabilities, missingCapabilities } from "./capabilities.js";
export { GracePeriod } from "./grace-period.js";
export type { RecordHandler } from "./ring-buffer.js";
export { RingBuffer } from "./ring-buffer.js";
export type { Answer, Feature, KernelReport } from "./probe.js";
export { probeKernel, ProgramType } from "./probe.js";
