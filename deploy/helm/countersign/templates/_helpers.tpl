{{- define "countersign.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "countersign.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "countersign.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "countersign.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "countersign.selectorLabels" -}}
app.kubernetes.io/name: {{ include "countersign.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "countersign.labels" -}}
{{ include "countersign.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "countersign.image" -}}
{{- $repository := required "image.repository: expected the image that you built and pushed" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "countersign.agentsUrl" -}}
{{- if .Values.agentsUrl -}}
{{- .Values.agentsUrl -}}
{{- else -}}
{{- printf "http://%s-agents.%s.svc:%d" (include "countersign.fullname" .) .Release.Namespace (int .Values.service.agents.port) -}}
{{- end -}}
{{- end -}}

{{- /* Names of the two Services, short and long: what clients in the cluster send as Host. */ -}}
{{- define "countersign.allowedHosts" -}}
{{- $hosts := list -}}
{{- range $part := list "agents" "operators" -}}
{{- $service := printf "%s-%s" (include "countersign.fullname" $) $part -}}
{{- $hosts = concat $hosts (list $service (printf "%s.%s" $service $.Release.Namespace) (printf "%s.%s.svc" $service $.Release.Namespace) (printf "%s.%s.svc.cluster.local" $service $.Release.Namespace)) -}}
{{- end -}}
{{- concat $hosts .Values.allowedHosts | uniq | toJson -}}
{{- end -}}

{{- define "countersign.config" -}}
{{- $reserved := list "home" "keys" "store" "listen" -}}
{{- range $key := $reserved -}}
{{- if hasKey $.Values.config $key -}}
{{- fail (printf "config.%s: the chart sets this; see the other values" $key) -}}
{{- end -}}
{{- end -}}
{{- $store := dict "postgres" (required "postgres.url: expected postgres://USER@HOST:PORT/DATABASE" .Values.postgres.url) "maxConnections" (int .Values.postgres.maxConnections) -}}
{{- if .Values.postgres.existingSecret -}}
{{- $_ := set $store "passwordFile" "/run/countersign/postgres/password" -}}
{{- end -}}
{{- if .Values.postgres.caConfigMap -}}
{{- $_ := set $store "ca" "/run/countersign/postgres-ca/ca.crt" -}}
{{- end -}}
{{- $listen := dict "agents" "0.0.0.0:7316" "operators" "0.0.0.0:7317" "agentsUrl" (include "countersign.agentsUrl" .) "allowedHosts" (include "countersign.allowedHosts" . | fromJsonArray) "drainSeconds" (int .Values.drainSeconds) "graceSeconds" (int .Values.graceSeconds) -}}
{{- $own := dict "home" "/var/lib/countersign/home" "keys" "/run/countersign/keys" "store" $store "listen" $listen -}}
{{- if .Values.policies -}}
{{- $_ := set $own "policy" (dict "dir" "/etc/countersign/policies") -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.config) $own | toPrettyJson -}}
{{- end -}}
