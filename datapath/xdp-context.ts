import koffi from "koffi";
import type { IfIndex } from "./handles.js";

const type = koffi.struct({
  data: "uint32",
  data_end: "uint32",
  data_meta: "uint32",
  ingress_ifindex: "uint32",
  rx_queue_index: "uint32",
  egress_ifindex: "uint32",
});

/** The fields of `struct xdp_md` that a test run can choose. */
export interface XdpContext {
  /** An interface of this network namespace. */
  readonly ingress: IfIndex;
  /** A receive queue that the interface has. Default 0. */
  readonly queue?: number | undefined;
  /** Bytes at the start of the packet that are metadata and not part of the frame. Default 0. */
  readonly metadataBytes?: number | undefined;
}

/** Bytes for the kernel, in which offsets count from the start of the given data. */
export function encodeXdpContext(context: XdpContext, packetLength: number): Buffer {
  const bytes = Buffer.alloc(koffi.sizeof(type));
  koffi.encode(bytes, type, {
    data: context.metadataBytes ?? 0,
    data_end: packetLength,
    data_meta: 0,
    ingress_ifindex: context.ingress,
    rx_queue_index: context.queue ?? 0,
    egress_ifindex: 0,
  });
  return bytes;
}
