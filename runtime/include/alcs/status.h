// Success, or one line of text that says what is wrong.
#ifndef ALCS_STATUS_H_
#define ALCS_STATUS_H_

#include <string>
#include <utility>

namespace alcs {

// The engine reports errors by value and lets no exception out.
class [[nodiscard]] Status {
 public:
  Status() = default;  // success

  static Status Error(std::string message) {
    Status status;
    status.ok_ = false;
    status.message_ = std::move(message);
    return status;
  }

  bool ok() const { return ok_; }
  const std::string& message() const { return message_; }  // empty on success

 private:
  bool ok_ = true;
  std::string message_;
};

}  // namespace alcs

#endif  // ALCS_STATUS_H_
