/* Nodes of a network: here there is one. */
#ifndef PILLARBOX_QNX_SYS_NETMGR_H
#define PILLARBOX_QNX_SYS_NETMGR_H

#define ND_LOCAL_NODE 0
#define ND_NODE_CMP(one, other) ((int)((one) - (other)))

#endif
