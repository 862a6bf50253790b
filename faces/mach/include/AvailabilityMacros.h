/* Since when something is there: always. */
#ifndef PILLARBOX_AVAILABILITYMACROS_H
#define PILLARBOX_AVAILABILITYMACROS_H

#define DEPRECATED_ATTRIBUTE
#define WEAK_IMPORT_ATTRIBUTE

#endif
