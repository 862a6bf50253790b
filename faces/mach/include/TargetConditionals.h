/* What is built for: nothing that has a condition. */
#ifndef PILLARBOX_TARGETCONDITIONALS_H
#define PILLARBOX_TARGETCONDITIONALS_H

#define TARGET_OS_MAC 0
#define TARGET_OS_OSX 0
#define TARGET_OS_IPHONE 0
#define TARGET_OS_LINUX 1

#endif
