#pragma once
// zlib's deflate in gzip's format. deflateInit2 is a macro, which Swift does not see.
#include <string.h>
#include <zlib.h>

// Writes `count` bytes in gzip's format (RFC 1952) into `into`, which has room for `room` bytes. Returns how many it
// wrote; 0 if they need more room, or memory is short.
static inline size_t leadpipe_gzip(const unsigned char *bytes, size_t count, unsigned char *into, size_t room,
                                   int level) {
  z_stream stream;
  // The counters of a stream have 32 bits.
  if (count > 0x7fffffff || room > 0x7fffffff) return 0;
  memset(&stream, 0, sizeof stream);
  // 15 + 16: the largest window, and gzip's header and trailer.
  if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
  stream.next_in = (unsigned char *)bytes;
  stream.avail_in = (unsigned)count;
  stream.next_out = into;
  stream.avail_out = (unsigned)room;
  int result = deflate(&stream, Z_FINISH);
  size_t written = room - stream.avail_out;
  deflateEnd(&stream);
  return result == Z_STREAM_END ? written : 0;
}
