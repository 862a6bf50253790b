/* Numbers that several threads change, as far as message programs use them. */
#ifndef PILLARBOX_LIBKERN_OSATOMIC_H
#define PILLARBOX_LIBKERN_OSATOMIC_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

typedef int32_t OSSpinLock;
#define OS_SPINLOCK_INIT 0

static inline int32_t OSAtomicAdd32(int32_t amount, volatile int32_t *value) {
    return __atomic_add_fetch(value, amount, __ATOMIC_RELAXED);
}
static inline int32_t OSAtomicAdd32Barrier(int32_t amount, volatile int32_t *value) {
    return __atomic_add_fetch(value, amount, __ATOMIC_SEQ_CST);
}
static inline int64_t OSAtomicAdd64(int64_t amount, volatile int64_t *value) {
    return __atomic_add_fetch(value, amount, __ATOMIC_RELAXED);
}
static inline int64_t OSAtomicAdd64Barrier(int64_t amount, volatile int64_t *value) {
    return __atomic_add_fetch(value, amount, __ATOMIC_SEQ_CST);
}
static inline int32_t OSAtomicIncrement32(volatile int32_t *value) {
    return OSAtomicAdd32(1, value);
}
static inline int32_t OSAtomicIncrement32Barrier(volatile int32_t *value) {
    return OSAtomicAdd32Barrier(1, value);
}
static inline int32_t OSAtomicDecrement32(volatile int32_t *value) {
    return OSAtomicAdd32(-1, value);
}
static inline int32_t OSAtomicDecrement32Barrier(volatile int32_t *value) {
    return OSAtomicAdd32Barrier(-1, value);
}
static inline bool OSAtomicCompareAndSwap32(int32_t before, int32_t after,
                                            volatile int32_t *value) {
    return __atomic_compare_exchange_n(value, &before, after, 0, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}
static inline bool OSAtomicCompareAndSwap32Barrier(int32_t before, int32_t after,
                                                   volatile int32_t *value) {
    return __atomic_compare_exchange_n(value, &before, after, 0, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}
static inline bool OSAtomicCompareAndSwapPtr(void *before, void *after,
                                             void *volatile *value) {
    return __atomic_compare_exchange_n(value, &before, after, 0, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}
static inline bool OSAtomicCompareAndSwapPtrBarrier(void *before, void *after,
                                                    void *volatile *value) {
    return __atomic_compare_exchange_n(value, &before, after, 0, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}
static inline void OSMemoryBarrier(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline bool OSSpinLockTry(volatile OSSpinLock *lock) {
    return __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) == 0;
}
static inline void OSSpinLockLock(volatile OSSpinLock *lock) {
    /* Who has it may need this processor. */
    while (!OSSpinLockTry(lock)) sched_yield();
}
static inline void OSSpinLockUnlock(volatile OSSpinLock *lock) {
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
