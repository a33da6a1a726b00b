/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The checksum of SCTP, after a change of the first four bytes that it covers. */
#ifndef SLUICE_CRC32C_H
#define SLUICE_CRC32C_H

#include "packet.h"

#define CRC32C_POLYNOMIAL 0x82f63b78

/* Product of two polynomials modulo that of CRC32c; the highest bit is x^0. A global function: proved once. */
__noinline int crc32c_multiply(__u32 left, __u32 right)
{
	__u32 product = 0;

	for (int i = 31; i >= 0; i--) {
		product ^= right & -(left >> i & 1);
		right = right >> 1 ^ (CRC32C_POLYNOMIAL & -(right & 1));
	}
	return product;
}

/*
 * What to add to the checksum of `length` bytes when `change` was added to the first four, as they stand in the packet.
 * A checksum is linear: the rest of the packet, which may be anywhere, is not read.
 */
static __always_inline __u32 crc32c_change(__u32 change, __u32 length)
{
	/* x^8 and its powers 2, 4, 8, … */
	static const __u32 powers[16] = {
		0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a,
		0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a,
		0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc,
	};
	__u32 shift = 0x80000000;

	for (int i = 0; i < 16; i++) {
		if (length >> i & 1)
			shift = crc32c_multiply(powers[i], shift);
	}
	return crc32c_multiply(shift, change);
}

#endif
