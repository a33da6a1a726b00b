{{- /* The agent's config file: its options in camelCase. */ -}}
{{- define "sluice.config" -}}
{{- $config := dict
  "mode" .Values.mode
  "unparsable" .Values.unparsable
  "metadata" .Values.metadata
  "logLevel" .Values.logLevel
-}}
{{- with .Values.uplinks }}{{ $_ := set $config "uplinks" . }}{{ end -}}
{{- with .Values.apiServers }}{{ $_ := set $config "apiServer" . }}{{ end -}}
{{- with .Values.confirmProbes }}{{ $_ := set $config "confirmProbe" . }}{{ end -}}
{{- if kindIs "slice" .Values.failSafe }}{{ $_ := set $config "failSafe" "/etc/sluice/fail-safe.yaml" }}{{ end -}}
{{- if .Values.podNetwork.enabled }}
{{- $_ := set $config "podNetwork" true }}
{{- $_ := set $config "cniBinDir" "/node/cni/bin" }}
{{- $_ := set $config "cniConfDir" "/node/cni/net.d" }}
{{- $_ := set $config "sysctlDir" "/node/proc/sys" }}
{{- $_ := set $config "podRouting" .Values.podNetwork.routing }}
{{- $_ := set $config "masquerade" .Values.podNetwork.masquerade.enabled }}
{{- with .Values.podNetwork.masquerade.exceptions }}{{ $_ := set $config "masqueradeExceptions" . }}{{ end }}
{{- end -}}
{{- /* The node's own address is known to the pod only: daemonset.yaml. */ -}}
{{- if ne .Values.metrics.listen "NodeAddress" -}}
{{- $host := ternary "127.0.0.1" "" (eq .Values.metrics.listen "Loopback") -}}
{{- $_ := set $config "metricsAddress" (printf "%s:%v" $host .Values.metrics.port) -}}
{{- end -}}
{{- toYaml $config }}
{{- /* Values are floating point to Helm, which would write 1e+06. */}}
eventsPerSecond: {{ int64 .Values.eventsPerSecond }}
{{- if .Values.podNetwork.enabled }}
vxlanPort: {{ int64 .Values.podNetwork.vxlan.port }}
vxlanVni: {{ int64 .Values.podNetwork.vxlan.vni }}
podMtu: {{ int64 .Values.podNetwork.mtu }}
{{- end }}
{{- if not (kindIs "invalid" .Values.addressLines) }}
addressLines: {{ int64 .Values.addressLines }}
{{- end }}
{{- if and .Values.podNetwork.enabled (not (kindIs "invalid" .Values.podNetwork.flows)) }}
flows: {{ int64 .Values.podNetwork.flows }}
{{- end }}
{{- end -}}
