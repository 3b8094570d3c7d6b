/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CRC-32C, reflected, one bit at a time: there is little to sum up here. A sum
 * begins with 0, and goes on with what came of it.
 */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

static uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	int bit;

	for (crc = ~crc; len--; ) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

#endif
