#include "net/message_parser.h"

#include <limits>

#include "net/text.h"

namespace gantry::net {

namespace beast_http = boost::beast::http;

namespace {

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

Method method_of(beast_http::verb verb) {
  switch (verb) {
    case beast_http::verb::get: return Method::get;
    case beast_http::verb::head: return Method::head;
    case beast_http::verb::post: return Method::post;
    case beast_http::verb::put: return Method::put;
    case beast_http::verb::delete_: return Method::delete_;
    case beast_http::verb::options: return Method::options;
    case beast_http::verb::patch: return Method::patch;
    default: return Method::other;
  }
}

}  // namespace

template <bool is_request>
MessageParser<is_request>::MessageParser(std::size_t header_bytes_max) : header_bytes_left_(header_bytes_max) {
  Base::header_limit(static_cast<std::uint32_t>(header_bytes_max));
  Base::body_limit(boost::none);  // the reader of the body has its own
}

template <bool is_request>
Parsed MessageParser<is_request>::failed(std::size_t used, const Code& error) {
  if (error == beast_http::error::header_limit) {
    reason_ = "the header is too large";
    return {used, ParseState::too_large};
  }
  if (reason_.empty()) reason_ = error.message();
  return {used, ParseState::bad};
}

template <bool is_request>
Parsed MessageParser<is_request>::feed_header(std::string_view bytes) {
  std::size_t skipped = 0;
  if (!Base::got_some()) {  // an empty line before a message is read over (RFC 9112 2.2)
    while (bytes.substr(skipped).starts_with("\r\n")) skipped += 2;
    bytes.remove_prefix(skipped);
    if (bytes.empty() || bytes == "\r") return {skipped, ParseState::need_more};
  }
  Code error;
  std::size_t parsed = Base::put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  std::size_t used = skipped + parsed;
  // Beast's limit is for the first line and the fields each or together, depending on how they arrive.
  if (parsed > header_bytes_left_) return failed(used, beast_http::error::header_limit);
  header_bytes_left_ -= parsed;
  if (error == beast_http::error::need_more) return {used, ParseState::need_more};
  if (error) return failed(used, error);
  in_header_ = false;
  Base::eager(true);
  return {used, ParseState::done};
}

template <bool is_request>
Parsed MessageParser<is_request>::feed_body_to(std::string_view bytes, std::string* out) {
  if (Base::is_done()) return {0, ParseState::done};
  out_ = out;
  Code error;
  std::size_t used = Base::put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  out_ = nullptr;
  if (error && error != beast_http::error::need_more) return failed(used, error);
  return {used, Base::is_done() ? ParseState::done : ParseState::need_more};
}

template <bool is_request>
Parsed MessageParser<is_request>::feed_body(std::string_view bytes, std::string& out) {
  return feed_body_to(bytes, &out);
}

template <bool is_request>
Parsed MessageParser<is_request>::count_body(std::string_view bytes) {
  return feed_body_to(bytes, nullptr);
}

template <bool is_request>
ParseState MessageParser<is_request>::feed_end() {
  if (Base::is_done()) return ParseState::done;
  if (!Base::need_eof()) {
    reason_ = "the message ends early";
    return ParseState::bad;
  }
  Code error;
  Base::put_eof(error);
  return error ? failed(0, error).state : ParseState::done;
}

template <bool is_request>
std::int64_t MessageParser<is_request>::body_bytes_left() const {
  if (Base::is_done()) return 0;
  auto left = Base::content_length_remaining();
  return left ? static_cast<std::int64_t>(*left) : -1;
}

template <bool is_request>
std::int64_t MessageParser<is_request>::content_length() const {
  auto length = Base::content_length();
  if (length) return static_cast<std::int64_t>(*length);
  return Base::chunked() || Base::need_eof() ? -1 : 0;
}

template <bool is_request>
void MessageParser<is_request>::on_request_impl(beast_http::verb verb, Text, Text path, int version, Code&) {
  method = method_of(verb);
  target.assign(path.data(), path.size());
  http11_ = version >= 11;
  headers.reserve(12);
}

template <bool is_request>
void MessageParser<is_request>::on_response_impl(int code, Text, int version, Code&) {
  status = code;
  http11_ = version >= 11;
  headers.reserve(12);
}

template <bool is_request>
void MessageParser<is_request>::on_field_impl(beast_http::field field, Text name, Text value, Code& error) {
  if (!in_header_) return;  // a trailer
  switch (field) {
    case beast_http::field::transfer_encoding:
      if (!http11_ || !equals_ignoring_case(view(value), "chunked")) {
        reason_ = "no transfer coding but chunked, in HTTP/1.1, is supported";
        error = beast_http::error::bad_transfer_encoding;
        return;
      }
      break;
    case beast_http::field::host: ++hosts_; break;
    case beast_http::field::expect:
      if (equals_ignoring_case(view(value), "100-continue")) {
        expects_continue_ = http11_;
      } else {
        expects_unknown_ = true;
      }
      break;
    default: break;
  }
  headers.add(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
}

template <bool is_request>
void MessageParser<is_request>::on_header_impl(Code& error) {
  auto length = Base::content_length();
  if (length && *length > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    error = beast_http::error::bad_content_length;
    return;
  }
  if (is_request && (hosts_ > 1 || (http11_ && hosts_ == 0))) {
    reason_ = "a request needs exactly one Host header";
    error = beast_http::error::bad_field;
  }
}

template <bool is_request>
std::size_t MessageParser<is_request>::on_body_impl(Text bytes, Code&) {
  if (out_) out_->append(bytes.data(), bytes.size());
  return bytes.size();
}

template <bool is_request>
std::size_t MessageParser<is_request>::on_chunk_body_impl(std::uint64_t, Text bytes, Code&) {
  if (out_) out_->append(bytes.data(), bytes.size());
  return bytes.size();
}

template class MessageParser<true>;
template class MessageParser<false>;

}  // namespace gantry::net
