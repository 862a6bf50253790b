/* What comes with an event: as the system's headers have it, and one member more. */
#ifndef ____sigval_t_defined
#define ____sigval_t_defined

union sigval {
    int sival_int;
    void *sival_ptr;
    long sival_long;
};

typedef union sigval __sigval_t;

#endif
