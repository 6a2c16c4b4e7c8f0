// Handing work to the caller's threads.
#ifndef ALCS_SRC_PARALLEL_H_
#define ALCS_SRC_PARALLEL_H_

#include "alcs/thread.h"

namespace alcs {

// body(i) for every i in [0, count); a single one stays on this thread.
template <class Body>
void ForEach(std::size_t count, const ParallelFor& parallel, const Body& body) {
  if (count == 1) return body(0);
  parallel.Run(
      count, [](void* context, std::size_t i) { (*static_cast<const Body*>(context))(i); },
      const_cast<Body*>(&body));
}

}  // namespace alcs

#endif  // ALCS_SRC_PARALLEL_H_
