#pragma once
/// Words by which instructions of each step are known, in fourteen languages, as sketch() normalises them (lower case,
/// numbers as 0). Weights: 3 names the task, 1 to 2 hints at it. Kept as a plain table so that a language can be added by
/// adding words. Source: our own wording and translations.

#include <string_view>

namespace understudy::templates {

struct Phrase {
  std::string_view text;
  double weight;
};

// clang-format off
constexpr Phrase kRerank[] = {
    {"rerank", 3}, {"re-rank", 3}, {"rank the", 3}, {"rank these", 3}, {"ranking of", 3}, {"order the passages", 3},
    {"order the documents", 3}, {"order these", 3}, {"reorder", 3}, {"by relevance", 3}, {"most relevant first", 3},
    {"from most relevant", 3}, {"relevance to the query", 3}, {"relevance to the question", 3}, {"relevance", 1.5},
    {"ranking", 1.5}, {"most relevant", 1.5}, {"rank", 1.5}, {"nach relevanz", 3}, {"rangfolge", 3}, {"sortiere", 3},
    {"ordne die", 3}, {"relevanteste", 3}, {"pertinence", 3}, {"classe les", 3}, {"classez les", 3}, {"reclasse", 3},
    {"trie les", 3}, {"plus pertinent", 3}, {"par pertinence", 3}, {"ordena los", 3}, {"ordena las", 3}, {"reordena", 3},
    {"relevancia", 3}, {"por relevancia", 3}, {"ordina i", 3}, {"riordina", 3}, {"rilevanza", 3}, {"ordene os", 3},
    {"reordene", 3}, {"relevância", 3}, {"rangschik", 3}, {"relevantie", 3}, {"uszereguj", 3}, {"trafności", 3},
    {"rangordna", 3}, {"relevans", 3}, {"ранжир", 3}, {"релевантн", 3}, {"sırala", 3}, {"排序", 3}, {"重排", 3}, {"相关性", 3},
    {"按相关", 3}, {"並べ替え", 3}, {"関連度", 3}, {"ランク付け", 3}, {"順位", 3}, {"순위", 3}, {"관련성", 3}, {"관련도", 3},};

constexpr Phrase kRewrite[] = {
    {"rewrite the", 3}, {"rewrite this", 3}, {"rephrase", 3}, {"reformulate", 3}, {"standalone question", 3},
    {"stand-alone question", 3}, {"standalone query", 3}, {"stand-alone", 3}, {"search query", 3}, {"search queries", 3},
    {"rewrite", 3}, {"follow-up question", 1.5}, {"follow up question", 1.5}, {"query", 1.5}, {"formuliere die", 3},
    {"umformulier", 3}, {"schreibe die frage", 3}, {"suchanfrage", 3}, {"eigenständige frage", 3}, {"eigenständige", 3},
    {"reformule", 3}, {"réécris", 3}, {"réécrivez", 3}, {"requête de recherche", 3}, {"question autonome", 3}, {"autonome", 3},
    {"reescribe", 3}, {"reformula", 3}, {"consulta de búsqueda", 3}, {"pregunta independiente", 3}, {"búsqueda", 3},
    {"riscrivi", 3}, {"riformula", 3}, {"query di ricerca", 3}, {"reescreva", 3}, {"consulta de busca", 3}, {"herschrijf", 3},
    {"herformuleer", 3}, {"zoekopdracht", 3}, {"przeformułuj", 3}, {"zapytanie", 3}, {"omformulera", 3}, {"skriv om", 3},
    {"sökfråga", 3}, {"перепиш", 3}, {"переформулир", 3}, {"поисковый запрос", 3}, {"yeniden yaz", 3}, {"改写", 3}, {"重写", 3},
    {"搜索查询", 3}, {"检索词", 3}, {"独立的问题", 3}, {"書き換え", 3}, {"言い換え", 3}, {"検索クエリ", 3}, {"바꿔 쓰", 3}, {"검색어", 3}, {"검색 쿼리", 3},};

constexpr Phrase kRoute[] = {
    {"classify the", 3}, {"classify this", 3}, {"classify each", 3}, {"route the", 3}, {"route this", 3}, {"routing", 3},
    {"which department", 3}, {"which team", 3}, {"which queue", 3}, {"which agent", 3}, {"which tool", 3}, {"intent of", 3},
    {"user intent", 3}, {"the intent", 3}, {"one of the following categories", 3}, {"one of these categories", 3},
    {"exactly one label", 3}, {"one of the labels", 3}, {"choose one of", 3}, {"assign the", 3}, {"triage", 3},
    {"pick the category", 3}, {"sentiment", 3}, {"moderation", 3}, {"moderate the", 3}, {"spam", 3}, {"toxic", 3},
    {"category", 1.5}, {"categories", 1.5}, {"label", 1.5}, {"labels", 1.5}, {"intent", 1.5}, {"classify", 1.5},
    {"department", 1.5}, {"klassifiziere", 3}, {"ordne die nachricht", 3}, {"ordne das ticket", 3}, {"absicht", 3},
    {"kategorie", 3}, {"welche abteilung", 3}, {"abteilung", 3}, {"zuständig", 3}, {"weise das", 3}, {"classifie", 3},
    {"classez le", 3}, {"catégorie", 3}, {"intention", 3}, {"oriente", 3}, {"quel service", 3}, {"étiquette", 3},
    {"clasifica", 3}, {"categoría", 3}, {"intención", 3}, {"departamento", 3}, {"etiqueta", 3}, {"enruta", 3},
    {"classifica", 3}, {"categoria", 3}, {"intento", 3}, {"reparto", 3}, {"classifique", 3}, {"classificeer", 3},
    {"categorie", 3}, {"afdeling", 3}, {"sklasyfikuj", 3}, {"kategori", 3}, {"dział", 3}, {"klassificera", 3},
    {"avdelning", 3}, {"классифиц", 3}, {"категори", 3}, {"намерени", 3}, {"отдел", 3}, {"sınıflandır", 3}, {"分类", 3},
    {"类别", 3}, {"意图", 3}, {"部门", 3}, {"路由", 3}, {"標籤", 3}, {"标签", 3}, {"分類", 3}, {"カテゴリ", 3}, {"意図", 3}, {"部署", 3}, {"분류", 3},
    {"카테고리", 3}, {"의도", 3}, {"부서", 3},};

constexpr Phrase kFaithful[] = {
    {"faithful", 3}, {"faithfulness", 3}, {"supported by", 3}, {"hallucinat", 3}, {"groundedness", 3}, {"grounded in", 3},
    {"contradict", 3}, {"entail", 3}, {"factually consistent", 3}, {"every claim", 3}, {"each claim", 3},
    {"unsupported claim", 3}, {"fact-check", 3}, {"fact check", 3}, {"verify whether", 3}, {"verify that the answer", 3},
    {"check whether the answer", 3}, {"gestützt", 3}, {"belegt", 3}, {"widerspr", 3}, {"halluzin", 3}, {"quellentreu", 3},
    {"faktentreu", 3}, {"durch den kontext", 3}, {"durch die quelle", 3}, {"fidèle", 3}, {"fidélité", 3}, {"étayé", 3},
    {"soutenue par", 3}, {"appuyée par", 3}, {"contredi", 3}, {"hallucin", 3}, {"vérifie si la réponse", 3}, {"fiel al", 3},
    {"respaldad", 3}, {"sustentad", 3}, {"alucin", 3}, {"contradic", 3}, {"verifica si la respuesta", 3}, {"fedele", 3},
    {"supportat", 3}, {"allucin", 3}, {"contraddi", 3}, {"verifica se la", 3}, {"fiel ao", 3}, {"apoiad", 3},
    {"verifique se", 3}, {"getrouw", 3}, {"ondersteund", 3}, {"tegensprek", 3}, {"controleer of", 3}, {"poparta", 3},
    {"halucyn", 3}, {"sprawdź, czy", 3}, {"trogen", 3}, {"stöds av", 3}, {"kontrollera om", 3}, {"подтвержд", 3},
    {"галлюцин", 3}, {"противореч", 3}, {"проверь", 3}, {"destekleniyor", 3}, {"忠实", 3}, {"支持", 3}, {"幻觉", 3}, {"矛盾", 3},
    {"是否有依据", 3}, {"核实", 3}, {"忠実", 3}, {"裏付け", 3}, {"根拠", 3}, {"ハルシネーション", 3}, {"뒷받침", 3}, {"근거", 3}, {"환각", 3}, {"모순", 3},};

constexpr Phrase kExtract[] = {
    {"extract", 3}, {"pull out the", 3}, {"fields:", 3}, {"following fields", 3}, {"named entities", 3}, {"entities from", 3},
    {"json object with the keys", 3}, {"with the keys", 3}, {"return json with", 3}, {"fill in the schema", 3},
    {"parse the", 3}, {"json", 1}, {"fields", 1}, {"schema", 1}, {"entities", 1}, {"extrahiere", 3}, {"entnimm", 3},
    {"entnehme", 3}, {"folgenden felder", 3}, {"felder", 3}, {"extrais", 3}, {"extrayez", 3}, {"extraire", 3}, {"champs", 3},
    {"entités", 3}, {"extrae", 3}, {"extraiga", 3}, {"campos", 3}, {"entidades", 3}, {"estrai", 3}, {"campi", 3},
    {"entità", 3}, {"extraia", 3}, {"haal de", 3}, {"velden", 3}, {"extraheer", 3}, {"wyodrębnij", 3}, {"pola", 3},
    {"extrahera", 3}, {"fälten", 3}, {"извлек", 3}, {"поля", 3}, {"сущност", 3}, {"çıkar", 3}, {"提取", 3}, {"抽取", 3}, {"字段", 3},
    {"实体", 3}, {"抽出", 3}, {"項目", 3}, {"추출", 3}, {"필드", 3},};

constexpr Phrase kSummarise[] = {
    {"summarize", 3.5}, {"summarise", 3.5}, {"summary of", 3.5}, {"a summary", 3.5}, {"short summary", 3.5}, {"tl;dr", 3.5},
    {"key points", 3.5}, {"condense the", 3.5}, {"digest of", 3.5}, {"meeting minutes", 3.5}, {"zusammenfassung", 3.5},
    {"fasse", 3.5}, {"zusammen.", 3.5}, {"zusammenfassen", 3.5}, {"résume", 3.5}, {"résumé", 3.5}, {"résumez", 3.5},
    {"synthèse", 3.5}, {"resume el", 3.5}, {"resume la", 3.5}, {"resume los", 3.5}, {"resumen", 3.5}, {"resuma", 3.5},
    {"riassumi", 3.5}, {"riassunto", 3.5}, {"resumo", 3.5}, {"vat samen", 3.5}, {"samenvatting", 3.5}, {"vat de", 3.5},
    {"streść", 3.5}, {"podsumuj", 3.5}, {"sammanfatta", 3.5}, {"sammanfattning", 3.5}, {"кратко излож", 3.5}, {"резюмир", 3.5},
    {"сводк", 3.5}, {"суммир", 3.5}, {"özetle", 3.5}, {"摘要", 3.5}, {"总结", 3.5}, {"概括", 3.5}, {"要約", 3.5}, {"まとめて", 3.5},
    {"요약", 3.5},};

constexpr Phrase kEval[] = {
    {"rate the", 3}, {"rate this", 3}, {"score the", 3}, {"grade the", 3}, {"grade this", 3}, {"judge the", 3},
    {"impartial judge", 3}, {"you are a judge", 3}, {"evaluate the quality", 3}, {"evaluate the answer", 3},
    {"evaluate the response", 3}, {"on a scale", 3}, {"scale of", 3}, {"rubric", 3}, {"from 0 to", 3}, {"0-0", 3},
    {"0 to 0", 3}, {"between 0 and 0", 3}, {"which response is better", 3}, {"which answer is better", 3},
    {"quality of the answer", 3}, {"quality of the response", 3}, {"helpfulness", 3}, {"score", 1.5}, {"rating", 1.5},
    {"evaluate", 1.5}, {"evaluator", 1.5}, {"grade", 1.5}, {"judge", 1.5}, {"bewerte", 3}, {"beurteile", 3}, {"skala", 3},
    {"punktzahl", 3}, {"gutachter", 3}, {"note von", 3}, {"von 0 bis 0", 3}, {"évalue", 3}, {"évaluez", 3}, {"notez", 3},
    {"échelle", 3}, {"barème", 3}, {"note de", 3}, {"de 0 à 0", 3}, {"evalúa", 3}, {"califica", 3}, {"puntúa", 3},
    {"puntuación", 3}, {"escala", 3}, {"de 0 a 0", 3}, {"rúbrica", 3}, {"valuta", 3}, {"punteggio", 3}, {"scala", 3},
    {"avalie", 3}, {"pontuação", 3}, {"nota de", 3}, {"beoordeel", 3}, {"schaal", 3}, {"cijfer", 3}, {"oceń", 3}, {"skali", 3},
    {"bedöm", 3}, {"betygsätt", 3}, {"оцени", 3}, {"шкал", 3}, {"балл", 3}, {"değerlendir", 3}, {"puan", 3}, {"评分", 3},
    {"打分", 3}, {"评估", 3}, {"评价", 3}, {"分制", 3}, {"評価", 3}, {"採点", 3}, {"点数", 3}, {"段階", 3}, {"평가", 3}, {"점수", 3}, {"채점", 3},};

constexpr Phrase kGenerate[] = {
    {"answer the question", 3}, {"answer the user", 3}, {"answer the customer", 3}, {"answer questions", 3},
    {"answer using", 3}, {"answer based", 3}, {"answer in", 3}, {"helpful assistant", 3}, {"support agent", 3},
    {"support assistant", 3}, {"write a", 3}, {"write an", 3}, {"draft a", 3}, {"compose", 3}, {"respond to", 3},
    {"reply to", 3}, {"customer support", 3}, {"explain", 3}, {"you are an assistant", 3}, {"coding assistant", 3},
    {"write code", 3}, {"translate", 3}, {"help the user", 3}, {"help users", 3}, {"create a", 3}, {"plan the", 3},
    {"continue the conversation", 3}, {"be concise and polite", 3}, {"polite", 3}, {"answer", 1.5}, {"assistant", 1.5},
    {"reply", 1.5}, {"write", 1.5}, {"respond", 1.5}, {"beantworte", 3}, {"antworte", 3}, {"schreibe eine", 3},
    {"schreibe ein", 3}, {"verfasse", 3}, {"formuliere eine antwort", 3}, {"hilfreicher assistent", 3}, {"kundenservice", 3},
    {"kundendienst", 3}, {"übersetze", 3}, {"erkläre", 3}, {"réponds", 3}, {"répondez", 3}, {"rédige", 3}, {"écris", 3},
    {"assistant utile", 3}, {"service client", 3}, {"traduis", 3}, {"explique", 3}, {"responde", 3}, {"redacta", 3},
    {"escribe", 3}, {"asistente", 3}, {"atención al cliente", 3}, {"traduce", 3}, {"explica", 3}, {"rispondi", 3},
    {"scrivi", 3}, {"assistente", 3}, {"traduci", 3}, {"spiega", 3}, {"responda", 3}, {"escreva", 3}, {"traduza", 3},
    {"beantwoord", 3}, {"schrijf", 3}, {"vertaal", 3}, {"behulpzame", 3}, {"odpowiedz", 3}, {"napisz", 3}, {"przetłumacz", 3},
    {"svara på", 3}, {"skriv ett", 3}, {"skriv en", 3}, {"hjälpsam", 3}, {"ответь", 3}, {"отвечай", 3}, {"напиши", 3},
    {"переведи", 3}, {"объясни", 3}, {"yanıtla", 3}, {"cevapla", 3}, {"yaz", 3}, {"回答", 3}, {"撰写", 3}, {"助手", 3}, {"翻译", 3},
    {"解释", 3}, {"客服", 3}, {"答えて", 3}, {"回答して", 3}, {"アシスタント", 3}, {"作成", 3}, {"書いて", 3}, {"翻訳", 3}, {"説明", 3}, {"답변", 3},
    {"작성", 3}, {"도우미", 3}, {"번역", 3}, {"설명", 3},};
// clang-format on

}  // namespace understudy::templates
