// How the engine uses threads: through whoever calls it, never its own.
#ifndef ALCS_THREAD_H_
#define ALCS_THREAD_H_

#include <cstddef>

namespace alcs {

// A pool of threads owned by the caller.
class ParallelFor {
 public:
  virtual ~ParallelFor() = default;

  // Calls body(context, i) once for every i in [0, count), in any order and on any threads, and
  // returns when all calls have returned. `body` does not throw. Must not throw either.
  virtual void Run(std::size_t count, void (*body)(void* context, std::size_t i),
                   void* context) const = 0;
};

// Runs everything on the calling thread.
class SerialFor final : public ParallelFor {
 public:
  void Run(std::size_t count, void (*body)(void*, std::size_t), void* context) const override {
    for (std::size_t i = 0; i < count; ++i) body(context, i);
  }
};

}  // namespace alcs

#endif  // ALCS_THREAD_H_
