// The one sentence for a number that is not where it may be.
#ifndef ALCS_SRC_CHECK_RANGE_H_
#define ALCS_SRC_CHECK_RANGE_H_

#include <cstdint>
#include <string>

#include "alcs/status.h"

namespace alcs {

inline Status CheckRange(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return Status();
  return Status::Error(std::string(name) + " is " + std::to_string(value) + ", expected " +
                       std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace alcs

#endif  // ALCS_SRC_CHECK_RANGE_H_
