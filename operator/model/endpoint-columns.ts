import type { AddressV6 } from "./records-pod.js";
import type { EndpointSliceRecord } from "./records-service.js";

export function endpointCount(slice: Pick<EndpointSliceRecord, "conditions">): number {
  return slice.conditions.length;
}

/** Address of an endpoint of an IPv4 slice, in host order. */
export function endpointV4({ addresses }: Pick<EndpointSliceRecord, "addresses">, index: number) {
  return addresses[index]!;
}

/** Address of an endpoint of an IPv6 slice. */
export function endpointV6(
  { addresses }: Pick<EndpointSliceRecord, "addresses">,
  index: number,
): AddressV6 {
  const half = (at: number) => (BigInt(addresses[at]!) << 32n) | BigInt(addresses[at + 1]!);
  return { high: half(index * 4), low: half(index * 4 + 2) };
}
