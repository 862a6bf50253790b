/* Names for channels. */
#ifndef PILLARBOX_QNX_SYS_DISPATCH_H
#define PILLARBOX_QNX_SYS_DISPATCH_H

#include <sys/iomsg.h>
#include <sys/neutrino.h>

#define NAME_FLAG_ATTACH_GLOBAL 0x2u
#define NAME_FLAG_DETACH_SAVEDPP 0x1u

typedef struct pillarbox_dispatch dispatch_t;

typedef struct _name_attach {
    dispatch_t *dpp;
    int chid;
    int mntid;
    int zero[2];
} name_attach_t;

#ifdef __cplusplus
extern "C" {
#endif

name_attach_t *name_attach(dispatch_t *dpp, const char *path, unsigned flags);
int name_detach(name_attach_t *attach, unsigned flags);
int name_open(const char *name, int flags);
int name_close(int coid);

#ifdef __cplusplus
}
#endif

#endif
