import { Errno } from "./errors.js";
import { RouteMessage } from "./netlink.js";
import {
  attribute,
  checkInteger,
  encodePrefix,
  Family,
  formatAddress,
  u32Attribute,
  u8Attribute,
} from "./netlink-attributes.js";
import { unlessRefused } from "./netlink-failure.js";
import { attributeU32, MessageFlag, parseAttributes } from "./netlink-message.js";
import { change, request } from "./netlink-socket.js";

/** Bytes of the fixed header `struct fib_rule_hdr`. */
const ruleBytes = 12;
/** `FRA_…` attributes. */
const Fra = { source: 2, priority: 6, table: 15, protocol: 21 } as const;
const actionToTable = 1;

/** A routing rule: packets from these addresses are routed by this table first. */
export interface RoutingRule {
  /** `192.0.2.0/24`, `2001:db8::/64`. */
  readonly source: string;
  readonly table: number;
  /** Lower comes first; that of the main table is 32766. */
  readonly priority: number;
  /** Who made it, by `RTPROT_…` number. */
  readonly protocol: number;
}

/**
 * Adds a routing rule to the network namespace of this thread.
 *
 * @throws SluiceError SLUICE_BAD_VALUE; SLUICE_NETLINK_FAILED, also when it is there (cause EEXIST);
 *   SLUICE_NO_CAPABILITY
 */
export function addRule(rule: RoutingRule): void {
  const flags = MessageFlag.create | MessageFlag.exclusive;
  change(RouteMessage.newRule, flags, encodeRule(rule), `add ${describe(rule)}`);
}

/**
 * Deletes a routing rule.
 *
 * @returns false when it was not there
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_NETLINK_FAILED, SLUICE_NO_CAPABILITY
 */
export function deleteRule(rule: RoutingRule): boolean {
  const isDeleted = unlessRefused([Errno.ENOENT], () => {
    change(RouteMessage.delRule, 0, encodeRule(rule), `delete ${describe(rule)}`);
    return true;
  });
  return isDeleted ?? false;
}

function describe({ source, table }: RoutingRule): string {
  return `the rule from ${source} to routing table ${table}`;
}

function encodeRule({ source, table, priority, protocol }: RoutingRule): Buffer {
  const { family, bytes, length } = encodePrefix(source);
  const header = Buffer.alloc(ruleBytes);
  header.writeUInt8(family, 0);
  header.writeUInt8(length, 2);
  header.writeUInt8(actionToTable, 7);
  return Buffer.concat([
    header,
    attribute(Fra.source, bytes),
    u32Attribute(Fra.priority, priority, "priority"),
    u32Attribute(Fra.table, table, "routing table"),
    u8Attribute(Fra.protocol, checkInteger(protocol, 255, "route protocol")),
  ]);
}

/**
 * The routing rules that a protocol has made, by source and table alone.
 *
 * @throws SluiceError SLUICE_NETLINK_FAILED
 */
export function listRules(protocol: number): readonly RoutingRule[] {
  return [Family.inet, Family.inet6].flatMap((family) => {
    const header = Buffer.alloc(ruleBytes);
    header.writeUInt8(family, 0);
    // A kernel without IPv6 has no rules of it.
    const messages = unlessRefused([Errno.EOPNOTSUPP, Errno.EAFNOSUPPORT], () =>
      request(RouteMessage.getRule, MessageFlag.dump, header, "list the routing rules"),
    );
    return (messages ?? []).flatMap(({ payload }) => {
      const attributes = parseAttributes(payload, ruleBytes);
      const source = attributes.get(Fra.source);
      if (source === undefined || attributes.get(Fra.protocol)?.readUInt8() !== protocol) return [];
      return {
        source: `${formatAddress(source)}/${payload.readUInt8(2)}`,
        table: attributeU32(attributes, Fra.table) ?? payload.readUInt8(4),
        priority: attributeU32(attributes, Fra.priority) ?? 0,
        protocol,
      };
    });
  });
}
