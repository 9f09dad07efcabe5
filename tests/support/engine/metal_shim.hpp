// As much of Metal as the bodies of our kernels use, in C++. Threads of a threadgroup are contexts that take turns:
// each runs to its next barrier or sum, where it waits for the others of its threadgroup or SIMD group. A sum or a
// barrier that not all of them reach is a defect of the kernel, and ends the program.
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <vector>

#define threadgroup static

struct bfloat16_t {
    uint16_t bits;
    bfloat16_t() = default;
    explicit bfloat16_t(float x) {
        uint32_t wide;
        std::memcpy(&wide, &x, 4);
        bits = (wide + 0x7fff + ((wide >> 16) & 1)) >> 16;  // to nearest, ties to even
    }
    explicit operator float() const {
        const uint32_t wide = uint32_t(bits) << 16;
        float x;
        std::memcpy(&x, &wide, 4);
        return x;
    }
};

namespace shim {

enum Waiting { Running, AtSum, AtBarrier, Ended };

struct Thread {
    ucontext_t start;
    jmp_buf at;
    bool begun = false;
    Waiting waiting = Running;
    float value = 0;
    std::vector<char> stack;
};

inline std::vector<Thread> threads;
inline jmp_buf scheduler;
inline unsigned current, group;
inline const std::function<void()>* kernel;

inline void wait(Waiting why) {
    threads[current].waiting = why;
    if (_setjmp(threads[current].at) == 0) {
        _longjmp(scheduler, 1);
    }
}

inline void main_of_thread() {
    (*kernel)();
    threads[current].waiting = Ended;
    _longjmp(scheduler, 1);
}

inline void go_on(unsigned index) {
    Thread& thread = threads[index];
    current = index;
    thread.waiting = Running;
    if (_setjmp(scheduler) == 0) {
        if (thread.begun) {
            _longjmp(thread.at, 1);
        }
        thread.begun = true;
        setcontext(&thread.start);
    }
}

inline Waiting all_at(unsigned first, unsigned last) {
    for (unsigned n = first; n < last; ++n) {
        if (threads[n].waiting != threads[first].waiting) {
            std::fprintf(stderr, "threads %u and %u do not reach the same sum or barrier\n", first, n);
            std::abort();
        }
    }
    return threads[first].waiting;
}

// Runs the kernel in `groups` threadgroups of `size` threads, one after the other.
inline void dispatch(unsigned groups, unsigned size, const std::function<void()>& body) {
    kernel = &body;
    if (threads.size() < size) {
        threads = std::vector<Thread>(size);
    }
    for (group = 0; group < groups; ++group) {
        for (unsigned n = 0; n < size; ++n) {
            Thread& thread = threads[n];
            thread.stack.resize(1 << 15);
            thread.begun = false;
            thread.waiting = Running;
            getcontext(&thread.start);
            thread.start.uc_stack.ss_sp = thread.stack.data();
            thread.start.uc_stack.ss_size = thread.stack.size();
            thread.start.uc_link = nullptr;
            makecontext(&thread.start, main_of_thread, 0);
        }
        for (Waiting end = Running; end != Ended; end = all_at(0, size)) {
            for (unsigned first = 0; first < size; first += 32) {
                do {
                    for (unsigned n = first; n < first + 32; ++n) {
                        go_on(n);
                    }
                    if (all_at(first, first + 32) == AtSum) {
                        float sum = 0;
                        for (unsigned n = first; n < first + 32; ++n) {
                            sum += threads[n].value;
                        }
                        for (unsigned n = first; n < first + 32; ++n) {
                            threads[n].value = sum;
                        }
                    }
                } while (threads[first].waiting == AtSum);
            }
        }
    }
}

struct Position {
    unsigned x;
};

}  // namespace shim

#define thread_index_in_simdgroup (shim::current % 32)
#define simdgroup_index_in_threadgroup (shim::current / 32)
#define threadgroup_position_in_grid (shim::Position{shim::group})

namespace metal {

enum class mem_flags { mem_threadgroup };

inline void threadgroup_barrier(mem_flags) { shim::wait(shim::AtBarrier); }

inline float simd_sum(float x) {
    shim::threads[shim::current].value = x;
    shim::wait(shim::AtSum);
    return shim::threads[shim::current].value;
}

inline float max(float a, float b) { return a > b ? a : b; }
inline float abs(float x) { return std::fabs(x); }

namespace precise {
inline float exp(float x) { return std::exp(x); }
inline float rsqrt(float x) { return 1.0f / std::sqrt(x); }
}  // namespace precise

}  // namespace metal
