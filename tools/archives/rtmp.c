// Answers for librtmp. libcurl calls these for rtmp:// addresses, which Leadpipe never lets it use.
#include <stddef.h>

#define FAIL(function) \
  int function(void) { return 0; }

FAIL(RTMP_Connect1)
FAIL(RTMP_ConnectStream)
FAIL(RTMP_Read)
FAIL(RTMP_SetupURL)
FAIL(RTMP_Write)

void *RTMP_Alloc(void) { return NULL; }
void RTMP_Close(void) {}
void RTMP_Free(void) {}
void RTMP_Init(void) {}
void RTMP_SetBufferMS(void) {}
