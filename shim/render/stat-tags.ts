/** The labels of the filter's metrics: what `extraStatTags` in Istio's proxy configuration has to name, for they else stay in the names. */
export const STAT_TAGS = ["hop", "backend", "result", "config", "module"];
