#include "audit/steps.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace understudy::audit {
namespace {

struct Spelling { std::string_view label, step; };

/// Folded spellings of the canonical steps.
constexpr Spelling kSpellings[] = {
    {"rewrite", "rewrite"}, {"query_rewrite", "rewrite"}, {"query_rewriting", "rewrite"}, {"rewrite_query", "rewrite"},
    {"rewriter", "rewrite"}, {"rewriting", "rewrite"}, {"query_rewriter", "rewrite"}, {"condense_question", "rewrite"},
    {"query_expansion", "rewrite"}, {"contextualize_question", "rewrite"},
    {"route", "route"}, {"router", "route"}, {"routing", "route"}, {"intent_router", "route"}, {"query_router", "route"},
    {"rerank", "rerank"}, {"reranker", "rerank"}, {"reranking", "rerank"}, {"re_rank", "rerank"}, {"re_ranker", "rerank"},
    {"llm_rerank", "rerank"}, {"rerank_documents", "rerank"},
    {"generate", "generate"}, {"generation", "generate"}, {"generator", "generate"}, {"generate_answer", "generate"},
    {"answer_generation", "generate"},
    {"faithfulness", "faithfulness"}, {"faithfulness_check", "faithfulness"}, {"groundedness", "faithfulness"},
    {"groundedness_check", "faithfulness"}, {"hallucination_check", "faithfulness"}, {"faithfulness_eval", "faithfulness"},
    {"extract", "extract"}, {"extraction", "extract"}, {"extractor", "extract"}, {"entity_extraction", "extract"},
    {"summarise", "summarise"}, {"summarize", "summarise"}, {"summary", "summarise"}, {"summarization", "summarise"},
    {"summarisation", "summarise"}, {"summarizer", "summarise"}, {"summariser", "summarise"},
    {"embed", "embed"}, {"embedding", "embed"}, {"embeddings", "embed"}, {"embed_query", "embed"}, {"embed_documents", "embed"},
    {"eval", "eval"}, {"evaluate", "eval"}, {"evaluation", "eval"}, {"evaluator", "eval"}, {"judge", "eval"},
    {"llm_judge", "eval"}, {"llm_as_judge", "eval"}, {"llm_as_a_judge", "eval"}};

constexpr std::string_view kOpenWords[] = {"generate", "generation", "answer",   "answering", "respond",   "response", "reply", "chat",
                                           "conversation", "assistant", "plan",  "planner",   "planning",  "agent",    "summarise",
                                           "summarize", "summary",  "code",     "coding",    "write",     "writer",   "writing",
                                           "draft",  "compose",  "synthesis",  "synthesize", "synthesise", "explain", "brainstorm",
                                           "story",  "translate", "translation", "report", "think", "reason", "reasoning", "completion"};
constexpr std::string_view kClosedWords[] = {"rewrite",  "rewriter", "rerank",     "reranker",  "route",   "router",   "routing",
                                             "faithfulness", "groundedness", "hallucination", "extract", "extraction", "extractor",
                                             "embed",    "embedding", "embeddings", "eval",     "evaluate", "evaluator", "evaluation",
                                             "judge",    "classify", "classifier", "classification", "moderate", "moderation",
                                             "guardrail", "guard",   "intent",     "label",    "labelling", "labeling", "sentiment",
                                             "score",    "scoring",  "grade",      "grader",   "grading",  "relevance", "rank",
                                             "ranking",  "ner",      "pii",        "redact",   "detect",   "detection", "verify",
                                             "check",    "dedupe",   "match",      "tag",      "tagging",  "triage",   "filter"};

std::string fold(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() + 4);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c >= 'A' && c <= 'Z') {
      if (i > 0 && text[i - 1] >= 'a' && text[i - 1] <= 'z') out.push_back('_');  // camelCase
      out.push_back(static_cast<char>(c + 32));
    } else {
      out.push_back(c == '-' || c == ' ' || c == '.' || c == '/' || c == ':' ? '_' : c);
    }
  }
  return out;
}

template <typename Range>
bool has(const Range& range, std::string_view word) {
  return std::find(std::begin(range), std::end(range), word) != std::end(range);
}

std::optional<std::string_view> spelled(std::string_view folded) {
  for (const Spelling& s : kSpellings) {
    if (s.label == folded) return s.step;
  }
  return std::nullopt;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

}  // namespace

StepKind step_kind(std::string_view step) {
  if (step == kNoStep) return StepKind::kUnattributed;
  const std::string name = fold(step);
  if (has(kOpenWords, name)) return StepKind::kOpen;
  if (has(kClosedWords, name)) return StepKind::kClosed;
  bool open = false;
  bool closed = false;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('_', begin), name.size());
    const std::string_view word = std::string_view(name).substr(begin, end - begin);
    open |= has(kOpenWords, word);
    closed |= has(kClosedWords, word);
    begin = end + 1;
  }
  if (open == closed) return StepKind::kUnknown;
  return open ? StepKind::kOpen : StepKind::kClosed;
}

std::vector<std::string_view> open_ended_words() { return {std::begin(kOpenWords), std::end(kOpenWords)}; }

bool is_known_step(std::string_view name) { return spelled(fold(name)).has_value(); }

bool is_generic_name(std::string_view name) {
  name = trim(name);
  if (name.empty()) return true;
  static constexpr std::string_view kGeneric[] = {
      "chat", "chat_completion", "chat_completions", "text_completion", "completion", "completions", "litellm_request", "llm",
      "llm_call", "openai", "anthropic", "main", "run", "invoke", "ainvoke", "call", "acall", "__call__", "execute", "executor",
      "thread", "threadpoolexecutor", "thread_pool_executor", "task", "request", "http", "https", "get", "post", "put", "handler",
      "process", "worker", "root", "span", "trace", "default", "unknown", "workflow", "pipeline", "chain", "runnable",
      "runnable_sequence", "runnable_lambda", "runnable_parallel", "llm_chain", "agent", "tool", "tools", "function", "generate_content",
      "chat_open_ai", "chat_openai", "chat_anthropic", "message", "messages", "responses", "response", "graph", "langgraph", "lang_graph",
      "__start__", "__end__", "start", "wrapper", "inner", "batch", "stream", "predict", "server", "app", "fast_api", "fastapi",
      "generation", "retriever", "embeddings", "openai_generation", "lite_llm_request", "raw_gen_ai_request", "none", "null", "test",
      "completion_async", "create", "acreate", "chat_completions_create", "lambda", "invocation"};
  const std::string folded = fold(name);
  if (has(kGeneric, folded)) return true;
  for (const std::string_view prefix : {"user_agent_", "http_", "get_", "post_", "put_", "delete_", "thread_", "threadpool", "asgi",
                                        "chat_gpt_", "chat_claude", "chat_gemini", "text_completion_", "generate_content_", "openai_", "llm_"}) {
    if (folded.starts_with(prefix) && !spelled(folded)) return true;
  }
  // "POST /v1/chat/completions", "GET /": a method and a path
  const std::size_t space = name.find(' ');
  if (space != std::string_view::npos && space + 1 < name.size() && name[space + 1] == '/') return true;
  // "chat gpt-4o": an operation and a model
  for (const std::string_view op : {"chat ", "text_completion ", "generate_content ", "embeddings ", "completion "}) {
    if (name.starts_with(op)) return true;
  }
  return std::all_of(folded.begin(), folded.end(), [](char c) { return !std::isalpha(static_cast<unsigned char>(c)); }) &&
         std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::optional<std::string_view> step_of_operation(std::string_view operation) {
  const std::string folded = fold(operation);
  if (folded == "embeddings" || folded == "embedding" || folded == "embed" || folded == "aembedding") return "embed";
  if (folded == "rerank" || folded == "arerank") return "rerank";
  return std::nullopt;
}

std::optional<std::string_view> step_of_span_kind(std::string_view kind) {
  const std::string folded = fold(kind);
  if (folded == "reranker") return "rerank";
  if (folded == "embedding") return "embed";
  if (folded == "evaluator") return "eval";
  if (folded == "guardrail") return "guardrail";
  return std::nullopt;
}

std::string_view without_operation(std::string_view span_name) {
  for (const std::string_view prefix : {"invoke_agent ", "create_agent ", "execute_tool ", "invoke_workflow ", "chain ", "agent "}) {
    if (span_name.starts_with(prefix)) return trim(span_name.substr(prefix.size()));
  }
  return span_name;
}

std::optional<std::string_view> step_of_tag(std::string_view tag) {
  tag = trim(tag);
  if (tag.size() > 5 && (tag.starts_with("step:") || tag.starts_with("step="))) return trim(tag.substr(5));
  return std::nullopt;
}

std::string StepNames::canonical(std::string_view label) const {
  const std::string folded = fold(label);
  if (const auto it = aliases_.find(folded); it != aliases_.end()) return it->second;
  if (const auto step = spelled(folded)) return std::string(*step);
  return std::string(trim(label));
}

bool StepNames::is_known(std::string_view label) const { return aliases_.contains(fold(label)) || is_known_step(label); }

std::string_view StepNames::step_of_template(std::string_view id) const {
  const auto it = templates_.find(id);
  return it == templates_.end() ? std::string_view{} : std::string_view(it->second);
}

Result<StepNames> StepNames::parse(std::string_view json, std::string_view name) {
  namespace dom = simdjson::dom;
  const auto bad = [&](std::string_view what) {
    return fail(ErrorKind::kUsage, fmt::format("steps file {}: {}; it should look like {{\"aliases\": {{\"rerank\": [\"llm_rerank\"]}}}}",
                                               name, what));
  };
  dom::parser parser;
  dom::object root;
  if (const auto error = parser.parse(json.data(), json.size()).get(root)) return bad(simdjson::error_message(error));
  StepNames out;
  bool any = false;
  if (dom::element aliases; root["aliases"].get(aliases) == simdjson::SUCCESS) {
    any = true;
    dom::object object;
    if (aliases.get(object) != simdjson::SUCCESS) return bad("\"aliases\" must be an object");
    for (const auto [step, labels] : object) {
      out.aliases_[fold(step)] = std::string(step);
      dom::array list;
      if (labels.get(list) != simdjson::SUCCESS) return bad(fmt::format("\"{}\" must hold a list of labels", step));
      for (const dom::element label : list) {
        std::string_view text;
        if (label.get(text) != simdjson::SUCCESS) return bad(fmt::format("a label of \"{}\" is not a text", step));
        out.aliases_[fold(text)] = std::string(step);
      }
    }
  }
  if (dom::element templates; root["templates"].get(templates) == simdjson::SUCCESS) {
    any = true;
    dom::array list;
    if (templates.get(list) != simdjson::SUCCESS) return bad("\"templates\" must be a list");
    for (const dom::element entry : list) {
      std::string_view id, step;
      if (entry["id"].get(id) != simdjson::SUCCESS || entry["step"].get(step) != simdjson::SUCCESS) {
        return bad("each of \"templates\" needs \"id\" and \"step\"");
      }
      if (step != kNoStep) out.templates_[std::string(id)] = std::string(step);
    }
  }
  if (!any) return bad("neither \"aliases\" nor \"templates\" is there");
  return out;
}

}  // namespace understudy::audit
