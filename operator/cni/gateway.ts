/** The next hop of every pod: on no network, only behind the pod's own wire, where nothing else can answer for it. */
export const gatewayV4 = "169.254.1.1";
export const gatewayV6 = "fe80::1";

/**
 * Of the host's end of every veth. Pods never ask for it (a permanent neighbour tells them), and since no two ends
 * share a wire it need not differ.
 */
export const hostMac = "ee:ee:ee:ee:ee:ee";
