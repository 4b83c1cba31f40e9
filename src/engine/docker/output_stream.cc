#include "engine/docker/output_stream.h"

#include <deque>

#include <fmt/core.h>

#include "engine/docker/log_frames.h"

namespace gantry::engine::docker {

namespace {

std::string hint_of(ErrorCode code) {
  if (code == ErrorCode::unavailable)
    return "is the Docker daemon running, and may this user talk to it? Try: docker info";
  if (code == ErrorCode::deadline_exceeded) return "the Docker daemon hangs or is overloaded. Try: docker info";
  return {};
}

class ContextBody : public net::BodyReader {
 public:
  ContextBody(std::shared_ptr<net::BodyReader> body, std::string what)
      : body_(std::move(body)), what_(std::move(what)) {}

  Async<std::string> read_some() override {
    std::exception_ptr failure;
    try {
      co_return co_await body_->read_some();
    } catch (...) {
      failure = std::current_exception();
    }
    rethrow_in_context(failure, what_);
  }

 private:
  std::shared_ptr<net::BodyReader> body_;
  std::string what_;
};

class FrameStream : public OutputStream {
 public:
  FrameStream(std::shared_ptr<net::BodyReader> body, std::string what) : body_(in_context(std::move(body), what)) {}

  Async<Output> read() override {
    while (pieces_.empty()) {
      std::string bytes = co_await body_->read_some();
      if (bytes.empty()) {
        decoder_.finish();
        co_return Output();
      }
      for (Output& piece : decoder_.decode(bytes)) pieces_.push_back(std::move(piece));
    }
    Output piece = std::move(pieces_.front());
    pieces_.pop_front();
    co_return piece;
  }

 private:
  std::shared_ptr<net::BodyReader> body_;
  LogFrameDecoder decoder_;
  std::deque<Output> pieces_;  // of the last read, at most as much as that
};

class TerminalStream : public OutputStream {
 public:
  TerminalStream(std::shared_ptr<net::BodyReader> body, std::string what)
      : body_(in_context(std::move(body), std::move(what))) {}
  Async<Output> read() override { co_return Output{1, co_await body_->read_some()}; }

 private:
  std::shared_ptr<net::BodyReader> body_;
};

class RawBody : public net::BodyReader {
 public:
  explicit RawBody(std::shared_ptr<net::RawStream> stream) : stream_(std::move(stream)) {}
  ~RawBody() override { stream_->close(); }
  Async<std::string> read_some() override { co_return co_await stream_->read_some(); }

 private:
  std::shared_ptr<net::RawStream> stream_;
};

}  // namespace

void rethrow_in_context(const std::exception_ptr& failure, const std::string& what) {
  if (is_cancelled(failure)) std::rethrow_exception(failure);
  Error error = error_of(failure);
  std::string hint = hint_of(error.code());
  throw Error(error.code(), fmt::format("docker: {}: {}", what, error.message()), hint.empty() ? error.hint() : hint);
}

std::shared_ptr<net::BodyReader> in_context(std::shared_ptr<net::BodyReader> body, std::string what) {
  return std::make_shared<ContextBody>(std::move(body), std::move(what));
}

std::shared_ptr<OutputStream> decode_frames(std::shared_ptr<net::BodyReader> body, std::string what) {
  return std::make_shared<FrameStream>(std::move(body), std::move(what));
}

std::shared_ptr<OutputStream> decode_frames(std::shared_ptr<net::RawStream> stream, std::string what) {
  return decode_frames(std::make_shared<RawBody>(std::move(stream)), std::move(what));
}

std::shared_ptr<OutputStream> raw_output(std::shared_ptr<net::BodyReader> body, std::string what) {
  return std::make_shared<TerminalStream>(std::move(body), std::move(what));
}

std::shared_ptr<OutputStream> raw_output(std::shared_ptr<net::RawStream> stream, std::string what) {
  return raw_output(std::make_shared<RawBody>(std::move(stream)), std::move(what));
}

}  // namespace gantry::engine::docker
