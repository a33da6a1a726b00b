import type { PortRange } from "../model/records.js";
import type { ProtocolBox } from "./protocol-boxes.js";
import type { CompiledRule } from "./rule-list.js";

/** Conditions of one bit, for people: `from pods web app=client; tcp 80`. */
export function describePodRule({ from, to, protocols }: CompiledRule): string {
  const parts = [
    ...(from === undefined ? [] : [`from ${setsText(from)}`]),
    ...(to === undefined ? [] : [`to ${setsText(to)}`]),
    ...(protocols === undefined ? [] : [[...new Set([...protocols].map(boxText))].join(", ")]),
  ];
  return parts.length === 0 ? "any packet" : parts.join("; ");
}

function setsText(keys: readonly string[]): string {
  return keys.length === 0 ? "nobody" : keys.join(", ");
}

function boxText([space, { destinationPorts, details }]: readonly [string, ProtocolBox]): string {
  const protocol = space.includes("/") ? `protocol ${space.split("/")[1]}` : space;
  const types = details?.map(({ start, end }) => `${start >> 8}-${end >> 8}`).join(" ");
  return [protocol, destinationPorts?.map(portsText).join(" "), types && `type ${types}`]
    .filter((part) => part !== undefined)
    .join(" ");
}

function portsText({ start, end }: PortRange): string {
  return start === end ? String(start) : `${start}-${end}`;
}
